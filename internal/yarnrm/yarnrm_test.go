package yarnrm

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// fake is a ResourceManager that answers with a text.
func fake(t *testing.T, answer string) (web string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	t.Cleanup(s.Close)
	return s.URL
}

// Versions of YARN say the same in different forms.
func TestApplications(t *testing.T) {
	for answer, want := range map[string]int{
		`{"apps":null}`: 0,
		`{"apps":{}}`:   0,
		`{"apps":{"app":{"id":"a","state":"RUNNING"}}}`: 1,
		`{"apps":{"app":[{"id":"a"},{"id":"b"}]}}`:      2,
		`{"apps":[{"app":[{"id":"a"},{"id":"b"}]}]}`:    2,
	} {
		apps, err := Applications(t.Context(), fake(t, answer), nil)
		if err != nil || len(apps) != want || want > 0 && apps[0].ID != "a" {
			t.Errorf("%s: %v, %v; want %d applications", answer, apps, err, want)
		}
	}
}

// Of two ResourceManagers, the one that answers is taken.
func TestWeb(t *testing.T) {
	web := fake(t, `{"clusterInfo":{"id":1}}`)
	settings := map[string]string{
		"yarn.resourcemanager.ha.rm-ids":          "rm1, rm2",
		"yarn.resourcemanager.webapp.address.rm1": "127.0.0.1:1",
		"yarn.resourcemanager.webapp.address.rm2": strings.TrimPrefix(web, "http://"),
	}
	testkit.Gives(Web(t.Context(), settings))(t, "the web pages", web)
	delete(settings, "yarn.resourcemanager.webapp.address.rm1")
	_, err := Web(t.Context(), settings)
	testkit.Says(t, "without an address", err, "yarn.resourcemanager.hostname.rm1 is set")
}
