// Package yarnrm asks YARN's ResourceManager about its cluster and applications, by its REST API.
// https://hadoop.apache.org/docs/r3.4.1/hadoop-yarn/hadoop-yarn-site/ResourceManagerRest.html
package yarnrm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"facestream/internal/rest"
)

// get returns the objects that the ResourceManager at web, http://HOST:PORT, answers below keys.
// Its versions disagree on whether a list is an array, and in how many objects it is.
func get[T any](ctx context.Context, web, path string, keys ...string) (found []T, err error) {
	url := web + "/ws/v1/cluster" + path
	var answer json.RawMessage
	if err := rest.Get(ctx, url, &answer); err != nil {
		return nil, err
	}
	for _, object := range below(answer, keys) {
		var one T
		if err := json.Unmarshal(object, &one); err != nil {
			return nil, fmt.Errorf("GET %s: %w", url, err)
		}
		found = append(found, one)
	}
	return found, nil
}

// below returns the objects in data that have none of the keys.
func below(data json.RawMessage, keys []string) (objects []json.RawMessage) {
	var many []json.RawMessage
	if json.Unmarshal(data, &many) == nil {
		for _, one := range many {
			objects = append(objects, below(one, keys)...)
		}
		return objects
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil || len(object) == 0 {
		return nil
	}
	for _, key := range keys {
		if inner, ok := object[key]; ok {
			return below(inner, keys)
		}
	}
	return []json.RawMessage{data}
}

// Nodes returns the ids of the NodeManagers that can start containers.
func Nodes(ctx context.Context, web string) (ids []string, err error) {
	nodes, err := get[struct{ ID string }](ctx, web, "/nodes?states=RUNNING", "nodes", "node")
	for _, n := range nodes {
		ids = append(ids, n.ID)
	}
	return ids, err
}

// firstTimeout is how long one of several ResourceManagers may take to answer.
const firstTimeout = 4 * time.Second

// Web returns the address of the ResourceManager that the settings of Hadoop name: of
// several, of the first that answers. One that stands by sends to the other.
func Web(ctx context.Context, settings map[string]string) (web string, err error) {
	const prefix = "yarn.resourcemanager."
	key, scheme, port := prefix+"webapp.address", "http://", "8088"
	if settings["yarn.http.policy"] == "HTTPS_ONLY" {
		key, scheme, port = prefix+"webapp.https.address", "https://", "8090"
	}
	for _, id := range strings.Split(settings[prefix+"ha.rm-ids"], ",") {
		suffix := ""
		if id = strings.TrimSpace(id); id != "" {
			suffix = "." + id
		}
		addr := settings[key+suffix]
		if host := settings[prefix+"hostname"+suffix]; addr == "" && host != "" {
			addr = net.JoinHostPort(host, port)
		}
		if addr == "" {
			return "", fmt.Errorf("neither %s nor %shostname%[3]s is set", key+suffix, prefix, suffix)
		}
		web = scheme + addr
		asking, stop := context.WithTimeout(ctx, firstTimeout)
		_, err = get[struct{ ID int64 }](asking, web, "/info", "clusterInfo")
		if stop(); err == nil {
			return web, nil
		}
	}
	return "", err
}

// Room is what a cluster has free.
type Room struct {
	MB    int `json:"availableMB"`
	Cores int `json:"availableVirtualCores"`
	Nodes int `json:"activeNodes"`
}

// AskRoom asks what the cluster of the ResourceManager at web has free.
func AskRoom(ctx context.Context, web string) (Room, error) {
	rooms, err := get[Room](ctx, web, "/metrics", "clusterMetrics")
	if err == nil && len(rooms) != 1 {
		err = fmt.Errorf("%s has no clusterMetrics", web)
	}
	if err != nil {
		return Room{}, err
	}
	return rooms[0], nil
}

// Application is one of YARN's.
type Application struct {
	ID, User, Name, State, Diagnostics string

	RPC string `json:"amRPCAddress"` // host:port, of Flink that of its REST API
}

// Applications returns those that a query of the REST API, such as states=RUNNING, selects.
func Applications(ctx context.Context, web string, query url.Values) ([]Application, error) {
	return get[Application](ctx, web, "/apps?"+query.Encode(), "apps", "app")
}
