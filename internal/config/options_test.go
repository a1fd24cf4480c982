package config

import (
	"errors"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"

	"facestream/internal/kerberos"
	"facestream/internal/proc"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/hdfs"
)

// localStack makes a state directory of a stack with Kafka and HDFS, and returns the
// flag that names it.
func localStack(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	me := testkit.Value(proc.NewProcess("test", os.Getpid(), ""))(t)
	runs := []proc.Process{me}
	testkit.Must(t, state.Stack{
		state.Kafka: {Addrs: state.Addrs{Kafka: "127.0.0.1:19092"}, Ready: true, Processes: runs},
		state.HDFS:  {Addrs: state.Addrs{HDFS: "hdfs://127.0.0.1:18020", Web: "http://127.0.0.1:19870"}, Ready: true, Processes: runs},
	}.Save(state.Dir(dir)))
	return "--state_dir=" + dir
}

func TestParseOptionsAccepts(t *testing.T) {
	conf := t.TempDir()
	t.Setenv("HADOOP_CONF_DIR", conf)
	settings := "<configuration>"
	for name, value := range map[string]string{
		"fs.defaultFS": "hdfs://ha", "dfs.ha.namenodes.ha": "a,b",
		"dfs.namenode.rpc-address.ha.a": "nn1:8020", "dfs.namenode.rpc-address.ha.b": "nn2:8020",
	} {
		settings += "<property><name>" + name + "</name><value>" + value + "</value></property>"
	}
	testkit.WriteFile(t, filepath.Join(conf, "core-site.xml"), []byte(settings+"</configuration>"))
	alt2 := testkit.Value(face.PresetFile("fast"))(t)
	local := localStack(t)
	here := testkit.Value(os.Getwd())(t)
	me := testkit.Value(user.Current())(t).Username
	// What a container may use is in GOMAXPROCS, not in the number of processors.
	cores := runtime.NumCPU() + 1
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	for _, tc := range []struct {
		flag  string
		right func(Options) bool
	}{
		{"--runner=prism", func(o Options) bool {
			return o.Kafka == "127.0.0.1:19092" && slices.Equal(o.Topics, []string{"frames"}) && o.Group == "facestream" && o.User == me &&
				o.Output == "hdfs://"+me+"@127.0.0.1:18020/user/"+me+"/faces" && o.Duration == 5*time.Minute && o.Window == time.Minute &&
				o.Frame.Width == 640 && o.Frame.Height == 480 && o.Runner.MaxBytes == 64<<20 && o.ExpansionAddr == "" && o.Summary == "" && len(o.Consumer) == 0
		}},
		{"--group=facestream", func(o Options) bool { return o.Runner.Name == "prism" }},
		{"--duration=3", func(o Options) bool { return o.Duration == 3*time.Minute }},
		{"--duration=0.5", func(o Options) bool { return o.Duration == 30*time.Second }},
		{"--duration=forever", func(o Options) bool { return o.Duration == Forever }},
		{"--duration=90s", func(o Options) bool { return o.Duration == 90*time.Second }},
		{"--topics=a, b,a", func(o Options) bool { return slices.Equal(o.Topics, []string{"a", "b"}) }},
		{"--output=hdfs://nn:8020/a/../b/", func(o Options) bool { return strings.HasSuffix(o.Output, "@nn:8020/b") }},
		{"--output=hdfs://nn1:8020,nn2:8020/b", func(o Options) bool { return strings.HasSuffix(o.Output, "@nn1:8020,nn2:8020/b") }},
		{"--output=hdfs://ha/100%25", func(o Options) bool { return strings.HasSuffix(o.Output, "@nn1:8020,nn2:8020/100%25") }},
		{"--output=hdfs:///b", func(o Options) bool { return strings.HasSuffix(o.Output, "@nn1:8020,nn2:8020/b") }},
		{"--output=hdfs://h:3/50%", func(o Options) bool { return strings.HasSuffix(o.Output, "@h:3/50%") }},
		{"--user=amy --output=hdfs://amy@h:3,i:3/q", func(o Options) bool { return o.Output == "hdfs://amy@h:3,i:3/q" && o.User == "amy" }},
		{"--group=g --output=faces/", func(o Options) bool { return o.Output == here+"/faces" && o.Group == "g" }},
		{"--output=/tmp/x/", func(o Options) bool { return o.Output == "/tmp/x" }},
		{"--runner=direct", func(o Options) bool { return o.Reader == "native" && !o.OwnExpansion() && o.Runner.MaxBytes == 256<<20 }},
		{"--topics=a", func(o Options) bool { return o.Reader == "kafkaio" && o.OwnExpansion() && o.WindowBytes == 64<<20 }},
		{"--reader=native --consumer_config=client.id=x", func(o Options) bool {
			return !o.OwnExpansion() && o.WindowBytes == math.MaxInt64 && o.Window == 5*time.Minute
		}},
		{"--reader=native --store=parquet", func(o Options) bool { return o.Window == time.Minute }},
		{"--reader=native --drain", func(o Options) bool { return o.Window == time.Minute }},
		{"--reader=native --cooldown=1m", func(o Options) bool {
			return o.Follows() && o.WindowBytes == math.MaxInt64 && o.Sampling.Frames.InOrder && o.Face.InOrder
		}},
		{"--reader=native --window_bytes=1MiB", func(o Options) bool { return o.WindowBytes == 1<<20 }},
		{"--reader=native --runner=spark --endpoint=h:1 --parallelism=2", func(o Options) bool { return o.Runner.Parallelism == 2 }},
		{"--store=parquet", func(o Options) bool { return o.Write.Rows && o.SegmentBytes == 512<<20 }},
		{"--window_bytes=1048576", func(o Options) bool { return o.Runner.MaxBytes == 1<<20 }},
		{"--window_bytes=32MiB", func(o Options) bool { return o.Runner.MaxBytes == 32<<20 }},
		{"--runner=flink --endpoint=h:1", func(o Options) bool { return o.Runner.Parallelism == 0 }}, // all slots
		{"--kafka=h1:1 , h2:2 ", func(o Options) bool { return o.Kafka == "h1:1,h2:2" }},
		{"--runner=flink", func(o Options) bool {
			return o.Runner.Parallelism == cores && o.Runner.Worker == "" && o.Face.Parallel == 0
		}},
		{"--runner=spark --master=spark://h:7077", func(o Options) bool {
			return o.Runner.Parallelism == 0 && filepath.IsAbs(o.Runner.Worker)
		}},
		{"--runner=flink --endpoint=h:1 --parallelism=4 --worker=/opt/pipeline --runner_option=max_bundle_size=9", func(o Options) bool {
			return o.Runner.Parallelism == 4 && o.Runner.Worker == "/opt/pipeline" && o.Runner.Options["max_bundle_size"] == "9"
		}},
		{"--runner=spark --master=yarn --driver_host=10.0.0.1", func(o Options) bool { return o.Runner.Worker == "" && o.Runner.User == o.User }},
		{"--runner=prism", func(o Options) bool { return o.Face.Parallel == cores }},
		{"--frame_size=1280x720", func(o Options) bool { return o.Frame.Width == 1280 && o.Frame.Height == 720 }},
		{"--consumer_config=fetch.max.bytes=1048576", func(o Options) bool { return o.Consumer["fetch.max.bytes"] == "1048576" }},
		{"--topics=a", func(o Options) bool { return o.Frame.KeepBytes == 0 }},
		{"--keep_rejects", func(o Options) bool { return o.Frame.KeepBytes == 1<<20 }},
		{"--topics=a", func(o Options) bool {
			return o.Write.List() == "frame,events" && o.Write.CropMargin == 0 && !o.Latest
		}},
		{"--write=events", func(o Options) bool { return o.Write.List() == "events" }},
		{"--write=crops,annotated,frame --crop_margin=0.5 --latest", func(o Options) bool {
			return o.Write.List() == "frame,annotated,crops" && o.Write.CropMargin == 0.5 && o.Latest
		}},
		{"--topics=a", func(o Options) bool { return o.Umask == 0o022 }},
		{"--umask=u=rwx,g=rx,o=", func(o Options) bool { return o.Umask == 0o027 }},
		{"--write=crops", func(o Options) bool { return o.Write.CropMargin == 0.2 }},
		{"--max_fps=0.2", func(o Options) bool { return o.Sampling.Frames.MaxFPS == 0.2 && o.Sampling.CooldownMillis == 0 }},
		{"--max_fps=1000 --cooldown=90s", func(o Options) bool { return o.Sampling.Frames.MaxFPS == 1000 && o.Sampling.CooldownMillis == 90_000 }},
		{"--cooldown=24h", func(o Options) bool { return o.Sampling.Frames.MaxFPS == 0 && o.Sampling.CooldownMillis == 86_400_000 }},
		{"--topics=a", func(o Options) bool {
			return o.Write.Detector == "parity" && o.Face.ScaleFactor == 1.1 && o.Face.MinNeighbors == 3 && o.Face.MinFace == 0 &&
				o.Face.Downscale == 1 && !o.Face.Equalize && o.Face.Profile == nil && o.Profile == "" &&
				filepath.Base(o.Model) == "haarcascade_frontalface_alt.xml"
		}},
		{"--detector=fast", func(o Options) bool {
			return o.Write.Detector == "fast" && o.Face.Downscale == 1.6 && o.Face.MinFace == 48 && filepath.Base(o.Model) == "haarcascade_frontalface_alt2.xml"
		}},
		{"--detector=fast --downscale=1.5 --min_face=0 --scale_factor=1.3 --min_neighbors=0 --equalize", func(o Options) bool {
			return o.Write.Detector == "fast" && o.Face.Downscale == 1.5 && o.Face.MinFace == 0 && o.Face.ScaleFactor == 1.3 && o.Face.MinNeighbors == 0 && o.Face.Equalize
		}},
		{"--detector=balanced --cascade=" + alt2 + " --profile", func(o Options) bool {
			return o.Face.ScaleFactor == 1.15 && o.Model == alt2 && filepath.Base(o.Profile) == "haarcascade_profileface.xml" && len(o.Face.Profile) > 0
		}},
		{"--detector=fast --runner=flink --profile=false", func(o Options) bool { return o.Face.Profile == nil }},
		{"--min_face=40", func(o Options) bool { return o.Face.MinFace == 40 }},
	} {
		o, err := Parse(append(splitFlags(tc.flag), local)...)
		if err != nil || !tc.right(o) {
			t.Errorf("%s: %v, %+v", tc.flag, err, o)
		}
	}
}

// splitFlags splits at the spaces that begin another flag.
func splitFlags(line string) []string {
	return strings.Split(strings.ReplaceAll(line, " --", "\n--"), "\n")
}

// Each wrong setting is refused with a word on what is wrong.
func TestParseOptionsRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) string {
		file := filepath.Join(dir, name)
		testkit.WriteFile(t, file, []byte(data))
		return file
	}
	local := localStack(t)
	for _, tc := range []struct{ flag, want string }{
		{"--runner=storm", "prism, flink, spark, direct"},
		{"--reader=java", "kafkaio, native"},
		{"--runner=direct --reader=kafkaio", "must be native"},
		{"--reader=native --expansion_addr=h:1", "needs no expansion service"},
		{"--reader=native --consumer_config=client.rack=a", "no use for it; it takes client.id"},
		{"--runner=direct --consumer_config=fetch.max.bytes=0", "from 1"},
		{"--reader=native --consumer_config=auto.offset.reset=latest", "none is skipped"},
		{"--parallelism=2", "--runner=flink"},
		{"--endpoint=h:1", "--runner=flink"},
		{"--runner=flink --parallelism=-1", "number of slots"},
		{"--runner=flink --endpoint=h", "HOST:PORT"},
		{"--runner=flink --endpoint=h:1 --master=h:2", "both set"},
		{"--runner=flink --master=spark://h:7077", "Flink's REST API"},
		{"--runner=spark --master=h:7077", "spark://HOST:PORT, or yarn"},
		{"--runner=flink --master=h", "such as jobmanager:8081, or yarn"},
		{"--runner=spark --master=spark://h:7077/", "spark://HOST:PORT, or yarn"},
		{"--runner=spark --master=yarn", "set HADOOP_CONF_DIR to the folder with it"},
		{"--runner=spark --endpoint=h:1 --parallelism=2", "spark.cores.max"},
		{"--runner=spark --worker=/opt/pipeline", "without a cluster"},
		{"--runner=spark --endpoint=h:1 --worker=bin/pipeline", "absolute"},
		{"--runner=spark --endpoint=h:1 --driver_host=10.0.0.1", "--driver_host"},
		{"--runner=flink --master=h:1 --driver_host=10.0.0.1", "--driver_host"},
		{"--runner=flink --runner_option=maxBundleSize=1", "lower case"},
		{"--runner=flink --runner_option=experiments=x", "sets that itself"},
		{"--kafka=broker", "HOST:PORT"},
		{"--topics=a,b c", `"b c"`},
		{"--topics=a,,b", "cannot be a topic"},
		{"--group=", "consumer group"},
		{"--user=../x", "Hadoop user"},
		{"--kerberos_principal=amy", "go together"},
		{"--kerberos_principal=amy --kerberos_keytab=k", "is not kerberos"},
		{"--worker_keytab=/k", "no cluster"},
		{"--output=hdfs://nn/x", "write nn:8020"},
		{"--output=hdfs:///x", "hdfs://HOST:PORT/x"},
		{"--output=hdfs://nn:8020,nn/x", "HOST:PORT"},
		{"--output=hdfs://nn:8020", "name a folder"},
		{"--output=s3://bucket/x", "hdfs://HOST:PORT/PATH"},
		{"--output=hdfs:/x", "hdfs://HOST:PORT/PATH"},
		{"--output=nn:8020/x", "hdfs://HOST:PORT/PATH"},
		{"--output=hdfs://nn:8020/x?y", "hdfs://HOST:PORT/PATH"},
		{"--output=hdfs://mallory@nn:8020/x", "another user"},
		{"--duration=forever --drain", "give one of them"},
		{"--drain_timeout=-1s", "0s or more"},
		{"--retain=59m", "such as 30d"},
		{"--duration=0", "at least 1s"},
		{"--duration=soon", "number of minutes"},
		{"--duration=NaN", "number of minutes"},
		{"--duration=1e300", "number of minutes"},
		{"--window=10ms", "at least 1s"},
		{"--stall_timeout=0", "at least 1s"},
		{"--window_bytes=1000", "at least 1MiB"},
		{"--window_bytes=-1", "64MiB"},
		{"--frame_size=640", "WIDTHxHEIGHT"},
		{"--frame_size=0x480", "--frame_size"},
		{"--store=rows", "files, parquet"},
		{"--store=parquet --write=events", "needs a picture"},
		{"--store=parquet --window=13h", "at most 12h"},
		{"--store=parquet --segment_bytes=1000", "at least 1MiB"},
		{"--write=", "frame, annotated, crops, events"},
		{"--write=frame,boxes", `"boxes" is none of frame, annotated, crops, events`},
		{"--write=crops --crop_margin=-1", "from 0 to 2"},
		{"--write=crops --crop_margin=NaN", "from 0 to 2"},
		{"--umask=27", "in octal, such as 027"},
		{"--umask=027 --output=/faces", "it is for HDFS"},
		{"--write=events --latest", "add frame, annotated or crops"},
		{"--scale_factor=1", "scale factor"},
		{"--max_fps=1001", "at most 1000"},
		{"--max_fps=NaN", "at most 1000"},
		{"--cooldown=999ms", "from 1s to 24h"},
		{"--cooldown=24h1s", "from 1s to 24h"},
		{"--cooldown=1.0005s", "whole milliseconds"},
		{"--detector=slow", "parity, balanced, fast, yunet, yunet-fast, centerface"},
		{"--detector=yunet", "give --model=FILE with face_detection_yunet_2022mar.onnx"},
		{"--detector=yunet-fast --model=" + filepath.Join(dir, "missing.onnx"), "no such file"},
		{"--detector=yunet --model=" + write("pointer.onnx", "version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS"},
		{"--detector=centerface --model=" + write("text.onnx", "no ONNX"), "get centerface.onnx"},
		{"--detector=yunet --model=" + dir, "directory"},
		{"--detector=yunet --min_face=40", "--min_face is not for --detector=yunet"},
		{"--model=x.onnx", "--model is not for --detector=parity"},
		{"--detector=fast --detect_width=320", "--detect_width is not for --detector=fast"},
		{"--downscale=11", "to 10"},
		{"--equalize=perhaps", "equalize"},
		{"--profile=side.xml", "profile"},
		{"--cascade=" + filepath.Join(dir, "missing.xml"), "no such file"},
		{"--cascade=" + write("corrupt.xml", "<?xml version=\"1.0\"?><opencv_storage><cascade"), "corrupt.xml"},
		{"--cascade=" + dir, "directory"},
		{"--expansion_addr=8097", "HOST:PORT"},
		{"--summary=" + dir, "is a folder"},
		{"--cpu_profile=" + dir, "--cpu_profile=" + dir + ": it is a folder"},
		{"--cpu_profile=" + filepath.Join(dir, "no", "cpu"), "not a folder"},
		{"--summary=" + filepath.Join(dir, "no", "s.json"), "not a folder"},
		{"--consumer_config=auto.offset.reset=latest", "none is skipped"},
		{"--consumer_config=x", "KEY=VALUE"},
		{"--nonsense", "nonsense"},
	} {
		_, err := Parse(append(splitFlags(tc.flag), local)...)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.flag, err, tc.want)
		}
	}
	for _, flags := range [][]string{{"--output=/tmp/x"}, {"--kafka=h:1"}} {
		if _, err := Parse(append(flags, "--state_dir="+dir)...); err == nil || !strings.Contains(err.Error(), "make up") {
			t.Errorf("%v without a local stack: error %v, want one that says make up", flags, err)
		}
	}
	if _, err := Parse("--kafka=h:1", "--output=/x", "--state_dir=options.go"); err == nil || !strings.Contains(err.Error(), "options.go is a file") {
		t.Errorf("a file as the folder of state: %v", err)
	}
}

// With Kerberos the principal says who the user is, and workers of a cluster need a keytab.
func TestKerberosOptions(t *testing.T) {
	conf := t.TempDir()
	t.Setenv("HADOOP_CONF_DIR", conf)
	t.Setenv("KRB5_CONFIG", filepath.Join(conf, "krb5.conf"))
	t.Setenv(hdfs.SecurityEnv, "") // restored in the end
	testkit.WriteFile(t, filepath.Join(conf, "krb5.conf"), nil)
	testkit.WriteFile(t, filepath.Join(conf, "core-site.xml"), []byte(`<configuration><property><name>hadoop.security.authentication</name><value>kerberos</value></property>
		<property><name>dfs.namenode.kerberos.principal</name><value>hdfs/_HOST@X</value></property></configuration>`))
	local := localStack(t)
	keys, file, empty := keytab.New(), filepath.Join(conf, "amy.keytab"), filepath.Join(conf, "empty.keytab")
	testkit.Must(t, keys.AddEntry("amy", "X", "hidden-word", time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	testkit.WriteFile(t, file, testkit.Value(keys.Marshal())(t))
	testkit.WriteFile(t, empty, nil)
	const cluster = "--runner=flink --endpoint=h:1"
	login := " --kerberos_principal=amy/host@X --kerberos_keytab=" + file
	for line, want := range map[string]string{
		cluster + login: file,
		cluster + login + " --worker_keytab=/other": "/other",
		"--runner=prism" + login:                    "",
	} {
		o, err := Parse(append(splitFlags(line), local)...)
		if err != nil || o.User != "amy" || o.Runner.WorkerKeytab != want || !strings.Contains(o.Output, "/user/amy/") {
			t.Errorf("%s: %v: user %s, output %s, workers' keytab %q; want amy and %q", line, err, o.User, o.Output, o.Runner.WorkerKeytab, want)
		}
	}
	t.Setenv("KRB5CCNAME", filepath.Join(conf, "none"))
	for line, want := range map[string]string{
		"--user=bob" + login:                                  "with Kerberos it is the principal's, amy",
		cluster + login + " --worker_keytab=other":            "absolute path",
		"--runner=prism":                                      "get a ticket with kinit",
		"--kerberos_principal=amy --kerberos_keytab=" + empty: "reading the keytab " + empty,
		"--kerberos_principal=@X --kerberos_keytab=" + file:   "has no name",
	} {
		_, err := Parse(append(splitFlags(line), local)...)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, kerberos.ErrNoTicket) != (line == "--runner=prism") {
			t.Errorf("%s: error %v, want %q in it, and that only no ticket may pass", line, err, want)
		}
	}
	t.Setenv("KRB5CCNAME", "KCM:0")
	if _, err := Parse(local); err == nil || !strings.Contains(err.Error(), "set it to FILE:PATH") {
		t.Errorf("a cache that is no file: %v", err)
	}
	if o, err := Parse("--output=faces", local); err != nil || len(o.Kerberos.Settings) > 0 {
		t.Errorf("a folder of this machine: %v, %+v", err, o.Kerberos)
	}
}

// A wrong --notify is refused with no more of it than its host.
func TestNotifyOptions(t *testing.T) {
	stack, dir := localStack(t), t.TempDir()
	file := func(text string) string {
		name := filepath.Join(dir, strings.ReplaceAll(text[:min(len(text), 8)], "/", "-"))
		testkit.WriteFile(t, name, []byte(text+"\n"))
		return name
	}
	const url = "https://hush:mum@faces.example/quiet?hush=mum"
	for _, tc := range []struct {
		args   []string
		secret string
		wrong  string
	}{
		{[]string{"--notify=" + url}, "", ""},
		{[]string{"--notify=@" + file(url), "--notify_secret_file=" + file("0123456789abcdef")}, "0123456789abcdef", ""},
		{[]string{"--notify=" + url, "--notify_secret_file=" + file("whsec_MDEyMzQ1Njc4OWFiY2RlZmc=")}, "0123456789abcdefg", ""},
		{[]string{"--notify=" + url, "--notify_secret_file=" + file("whsec_%")}, "", "not base64"},
		{[]string{"--notify=" + url, "--notify_secret_file=" + file("short")}, "", "16 bytes or more"},
		{[]string{"--notify=" + url, "--notify_secret_file=" + dir + "/none"}, "", "no such file"},
		{[]string{"--notify_secret_file=" + dir}, "", "is for --notify"},
		{[]string{"--notify=@" + dir + "/none"}, "", "no such file"},
		{[]string{"--notify=" + url, "--write=frame"}, "", "add events to --write"},
		{[]string{"--notify=ftp://hush:mum@faces.example/quiet"}, "", "--notify=ftp://faces.example: it must be a URL"},
		{[]string{"--notify=faces.example"}, "", "must be a URL"},
	} {
		o, err := Parse(append(tc.args, stack)...)
		switch {
		case tc.wrong == "" && (err != nil || o.Notify.URL != url || string(o.Notify.Secret) != tc.secret):
			t.Errorf("%v: %+v, %v", tc.args, o.Notify, err)
		case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong) || testkit.HasSecret(err.Error())):
			t.Errorf("%v: %v, want %s", tc.args, err, tc.wrong)
		}
	}
	for _, address := range testkit.SecretAddresses {
		if _, err := Parse("--notify="+address, stack); err != nil && testkit.HasSecret(err.Error()) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
