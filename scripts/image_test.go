package scripts_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"facestream/internal/camera"
	"facestream/internal/config"
	"facestream/internal/jvm"
	"facestream/internal/paths"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

// manifest is what the tests know of an object in deploy/kubernetes.
type manifest struct {
	Kind       string
	Metadata   struct{ Name string }
	Data       map[string]string
	StringData map[string]string `yaml:"stringData"`
	Spec       struct{ Template struct{ Spec pod } }
}

type pod struct {
	AutomountServiceAccountToken *bool           `yaml:"automountServiceAccountToken"`
	SecurityContext              securityContext `yaml:"securityContext"`
	Containers                   []container
	Volumes                      []struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
		Secret    struct {
			SecretName string `yaml:"secretName"`
		}
	}
}

type container struct {
	Image           string
	Command, Args   []string
	Env             []struct{ Name, Value string }
	SecurityContext securityContext `yaml:"securityContext"`
	Resources       struct{ Limits map[string]string }
	VolumeMounts    []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type securityContext struct {
	RunAsNonRoot             bool  `yaml:"runAsNonRoot"`
	RunAsUser                int   `yaml:"runAsUser"`
	ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
	AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
	Capabilities             struct{ Drop []string }
}

// manifests returns the objects of deploy/kubernetes by their names, with a kind before
// those that are no pods.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	all := map[string]manifest{}
	for _, file := range testkit.Value(filepath.Glob("../deploy/kubernetes/*.yaml"))(t) {
		for d := yaml.NewDecoder(bytes.NewReader(testkit.ReadFile(t, file))); ; {
			var m manifest
			if err := d.Decode(&m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			name := m.Metadata.Name
			if len(m.Spec.Template.Spec.Containers) == 0 {
				name = m.Kind + " " + name
			}
			all[name] = m
		}
	}
	return all
}

// mounts returns the paths at which the first container of a pod finds volumes, with the
// folders of those that hold settings.
func mounts(t *testing.T, all map[string]manifest, p pod) map[string]string {
	t.Helper()
	dirs, paths := map[string]string{}, map[string]string{}
	for _, v := range p.Volumes {
		files := all["ConfigMap "+v.ConfigMap.Name].Data
		if v.Secret.SecretName != "" {
			files = all["Secret "+v.Secret.SecretName].StringData
		}
		dirs[v.Name] = ""
		if files != nil {
			dirs[v.Name] = filepath.Join(t.TempDir(), v.Name)
		}
		for file, text := range files {
			testkit.WriteFile(t, filepath.Join(dirs[v.Name], file), []byte(text))
		}
	}
	for _, m := range p.Containers[0].VolumeMounts {
		dir, ok := dirs[m.Name]
		if !ok {
			t.Fatalf("%s: there is no volume %s", m.MountPath, m.Name)
		}
		paths[m.MountPath] = dir
	}
	return paths
}

// What the manifests have containers do is something that the programs know, and none
// may do more than it must.
func TestManifests(t *testing.T) {
	all := manifests(t)
	var programs int
	for name, m := range all {
		p := m.Spec.Template.Spec
		if len(p.Containers) == 0 {
			continue
		}
		c := p.Containers[0]
		s := c.SecurityContext
		if !p.SecurityContext.RunAsNonRoot || !s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			strings.Join(s.Capabilities.Drop, " ") != "ALL" || p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken || c.Resources.Limits["memory"] == "" {
			t.Errorf("%s: %+v, %+v, %v: it may do more than it must", name, p.SecurityContext, s, c.Resources)
		}
		paths := mounts(t, all, p)
		values := strings.NewReplacer("$(POD_IP)", "127.0.0.1", "/etc/facestream", paths["/etc/facestream"])
		var args []string
		for _, arg := range c.Args {
			args = append(args, values.Replace(arg))
		}
		flags := flag.NewFlagSet(name, flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		options := func() error { return nil }
		switch strings.Join(c.Command, " ") {
		case "":
			run := config.New(flags)
			options = func() error {
				_, err := run.Options()
				return err
			}
		case "facestream-camera":
			camera.Command("facestream-camera").Setup(flags)
		default:
			continue // a node of Flink or Spark
		}
		programs++
		err := flags.Parse(args)
		if err == nil {
			err = options()
		}
		if err != nil || flags.NArg() > 0 {
			t.Errorf("%s: %v, and %q is left", name, err, flags.Args())
		}
	}
	if programs < 4 {
		t.Errorf("%d containers with a program of facestream: too few", programs)
	}
	if want := strings.Join(jvm.AddOpens(), " "); !strings.Contains(string(testkit.ReadFile(t, "../Containerfile")), `ENV JDK_JAVA_OPTIONS="`+want+`"`) {
		t.Errorf("JDK_JAVA_OPTIONS in the Containerfile is not %q", want)
	}
}

// lab runs containers of the image as the manifests want them, but in the network of this
// machine, each at a loopback address of its own.
type lab struct {
	dir       string
	env       []string
	manifests map[string]manifest
}

// addresses are those of the containers that others call by name.
var addresses = map[string]string{"facestream": "127.0.0.1", "flink-jobmanager": "127.0.1.1", "flink-taskmanager": "127.0.1.2", "spark-master": "127.0.1.3", "spark-worker": "127.0.1.4"}

// newLab builds the image. Podman keeps it and its base below build.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{dir: filepath.Join(testkit.Value(paths.Checkout())(t), "build", "podman"), manifests: manifests(t)}
	l.env = environment()
	for file, text := range map[string]string{
		// Without skip_mount_home, a mount is left behind that keeps build from being removed.
		"storage.conf":    fmt.Sprintf("[storage]\ndriver='overlay'\ngraphroot='%[1]s/images'\nrunroot='%[1]s/run'\n[storage.options.overlay]\nskip_mount_home='true'\n", l.dir),
		"containers.conf": "[containers]\nnetns='host'\ndefault_ulimits=['nofile=1024:1024','nproc=4096:4096']\n[engine]\nruntime='runc'\n",
	} {
		path := filepath.Join(l.dir, file)
		testkit.WriteFile(t, path, []byte(text))
		l.env = append(l.env, map[string]string{"storage.conf": "CONTAINERS_STORAGE_CONF=", "containers.conf": "CONTAINERS_CONF="}[file]+path)
	}
	checkout := filepath.Dir(filepath.Dir(l.dir))
	l.do(t, filepath.Join(checkout, "scripts/setup.sh"), "bookworm")
	l.do(t, "sh", "-c", "podman image exists facestream-base || tar -C ../bookworm -c . | podman import - facestream-base")
	l.do(t, "make", "-C", checkout, "image", "image_flags=--isolation=chroot --network=host --build-arg=BASE=localhost/facestream-base")
	return l
}

func (l *lab) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = l.env, l.dir
	return cmd
}

// do runs a command and returns what it prints.
func (l *lab) do(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := l.command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

// run runs the container of a manifest, with further arguments, and returns what it
// prints. With "-d" among podman's flags it goes on.
func (l *lab) run(t *testing.T, name string, podman []string, args ...string) string {
	t.Helper()
	p := l.manifests[name].Spec.Template.Spec
	c := p.Containers[0]
	ip := addresses[name]
	if ip == "" {
		ip = "127.0.1.9"
	}
	values := strings.NewReplacer("$(POD_IP)", ip, "$(POD_NAME)", name)
	flags := append([]string{"run", "--name=" + name, "--replace", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges",
		fmt.Sprintf("--user=%d", p.SecurityContext.RunAsUser)}, podman...)
	for host, ip := range addresses {
		flags = append(flags, "--add-host="+host+":"+ip)
	}
	if len(c.Command) > 0 {
		flags = append(flags, "--entrypoint="+string(testkit.Value(json.Marshal(c.Command))(t)))
	}
	for _, e := range c.Env {
		value := values.Replace(e.Value)
		if value == "" {
			value = values.Replace("$(" + e.Name + ")")
		}
		flags = append(flags, "--env="+e.Name+"="+value)
	}
	for path, dir := range mounts(t, l.manifests, p) {
		if dir == "" {
			flags = append(flags, "--volume="+path) // with the owner that the image's folder has
		} else {
			flags = append(flags, "--volume="+dir+":"+path+":ro")
		}
	}
	flags = append(flags, "localhost/"+c.Image)
	for _, arg := range c.Args {
		name, _, _ := strings.Cut(arg, "=")
		given := func(a string) bool { return strings.HasPrefix(a, name+"=") }
		if name != "--kafka_config" && !slices.ContainsFunc(args, given) { // the tests' Kafka is open
			flags = append(flags, values.Replace(arg))
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := l.command("podman", "logs", name).CombinedOutput()
			t.Logf("log of %s:\n%s", name, logs)
		}
		l.do(t, "podman", "rm", "--force", "--volumes", name)
	})
	return l.do(t, "podman", append(flags, args...)...)
}

// The image runs as the manifests have it: a camera sends, a run without end on Prism
// stores, is healthy, is not root and cannot change the image, and SIGTERM ends it
// cleanly. Jobs on clusters whose nodes are containers of the image do the same.
func TestImage(t *testing.T) {
	testkit.OnlyInAll(t)
	addrs := testservices.Start(t, services.Options{Kafka: true, HDFS: true})
	l := newLab(t)
	topic := testservices.Name("image")
	l.run(t, "camera-door", nil, "--kafka="+addrs.Kafka, "--topic="+topic, "--source=demo", "--frames=30")
	const faces = 20 // of 30 frames of the demo, every third has none
	settings := func(name string) []string {
		return []string{"--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + topic + name, "--output=" + addrs.HDFS + "/user/video/" + topic + name}
	}
	verify := func(t *testing.T, name string) {
		t.Helper()
		args := append([]string{"run", "--rm", "--read-only", "localhost/facestream", "verify", "--user=video"}, settings(name)...)
		if got := l.do(t, "podman", args...); !strings.Contains(got, fmt.Sprintf("%d of %[1]d", faces)) || !strings.HasSuffix(got, "all agrees\n") {
			t.Errorf("verify says:\n%s", got)
		}
	}

	l.run(t, "facestream", []string{"-d"}, settings("prism")...)
	testkit.Await(t, "the pictures", func() bool { return written() == faces })
	l.do(t, "podman", "healthcheck", "run", "facestream")
	if got := l.do(t, "podman", "exec", "facestream", "sh", "-c", "id -u; ! touch /opt/facestream/x 2>&1"); !strings.HasPrefix(got, "10001\n") || !strings.Contains(got, "Read-only file system") {
		t.Errorf("in the container: %s", got)
	}
	l.do(t, "podman", "kill", "--signal=TERM", "facestream")
	if got := l.do(t, "podman", "wait", "facestream"); got != "0\n" {
		t.Errorf("exit status %s after SIGTERM, want 0", got)
	}
	verify(t, "prism")

	for engine, cluster := range map[string]struct {
		nodes       []string
		page, ready string // what the cluster says of itself when its nodes are there
	}{
		"flink": {[]string{"flink-jobmanager", "flink-taskmanager"}, "http://127.0.1.1:8081/overview", `"slots-total":1`},
		"spark": {[]string{"spark-master", "spark-worker"}, "http://127.0.1.3:8080/json/", `"aliveworkers" : 1`},
	} {
		t.Run(engine, func(t *testing.T) {
			for _, node := range cluster.nodes {
				l.run(t, node, []string{"-d"})
				testkit.Await(t, "the first node", func() bool { return get(cluster.page) != "" })
			}
			testkit.Await(t, "the nodes", func() bool { return strings.Contains(get(cluster.page), cluster.ready) })
			l.run(t, "facestream-"+engine, nil, settings(engine)...)
			verify(t, engine)
		})
	}
}

// written returns how many frames the run says that it has stored.
func written() (frames int) {
	_, at, _ := strings.Cut(get("http://127.0.0.1:9464/metrics"), "facestream_pictures_written_total{kind=\"frame\"} ")
	fmt.Sscan(at, &frames)
	return frames
}

// get returns what a URL answers, or nothing.
func get(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}
