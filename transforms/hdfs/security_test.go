package hdfs

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/kerberos"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

// picture is more than one packet of a data transfer.
var picture = strings.Repeat("a picture", 10_000)

// secured starts an HDFS with Kerberos, has this process use it as the services' user, and
// returns a folder there.
func secured(t *testing.T, settings map[string]string) (stack *services.Stack, login kerberos.Login, dir string) {
	t.Helper()
	stack = testservices.Own(t, services.Options{KDC: true, HDFS: true, HDFSSettings: settings})
	t.Setenv(krb5Env, stack.Secret(services.Krb5Config))
	t.Setenv(confEnv, stack.HadoopConfig())
	login = kerberos.Login{Principal: services.User, Keytab: stack.Secret(services.UserKeytab)}
	t.Setenv(SecurityEnv, "") // restored in the end
	testkit.Must(t, SetSecurity(testkit.Value(ConfiguredSecurity(login))(t)))
	return stack, login, "hdfs://" + services.User + "@" + state.HostPort(stack.HDFS) + "/user/" + services.User
}

func writeAndRead(t *testing.T, f *fileSystem, name string) (string, error) {
	t.Helper()
	if err := f.MkdirAll(t.Context(), name[:strings.LastIndexByte(name, '/')]); err != nil {
		return "", err
	}
	if err := filesystem.Write(t.Context(), f, name, []byte(picture)); err != nil {
		return "", err
	}
	data, err := filesystem.Read(t.Context(), f, name)
	return string(data), err
}

// With RPC and data transfers encrypted, files are written and read as the principal, with
// a keytab and with a ticket cache, also after the first ticket has expired.
func TestKerberos(t *testing.T) {
	stack, login, dir := secured(t, nil)
	const life = 3 * time.Second
	testkit.Must(t, stack.KAdmin(t.Context(), "modprinc -maxlife 3s "+services.User))
	fs := ownClients(time.Minute, time.Minute)
	fs.clients.securedLife = time.Second
	begin := time.Now()
	testkit.Await(t, "the end of the first ticket, and of the time for which clocks may differ", func() bool {
		if got, err := writeAndRead(t, fs, dir+"/a"); err != nil || got != picture {
			t.Fatalf("read %d bytes: %v", len(got), err)
		}
		return time.Since(begin) > life+5*time.Second
	})

	kinit := func(args ...string) {
		t.Helper()
		t.Setenv("KRB5CCNAME", filepath.Join(t.TempDir(), "cache"))
		testkit.Output(t, exec.Command("kinit", args...))
	}
	use := func(l kerberos.Login) error {
		t.Helper()
		testkit.Must(t, SetSecurity(testkit.Value(ConfiguredSecurity(l))(t)))
		_, err := writeAndRead(t, ownClients(time.Minute, time.Minute), dir+"/b")
		return err
	}
	testkit.Must(t, stack.KAdmin(t.Context(), "modprinc -maxlife 1h "+services.User))
	kinit("-k", "-t", login.Keytab, services.User)
	testkit.Must(t, use(kerberos.Login{})) // with a ticket cache
	kinit("-l", "1s", "-k", "-t", login.Keytab, services.User)
	testkit.Await(t, "the end of the ticket in the cache", func() bool { return exec.Command("klist", "-s").Run() != nil })
	for want, l := range map[string]kerberos.Login{
		"no ticket that is good now":   {},
		"does not know this principal": {Principal: "nobody", Keytab: login.Keytab},
		"klist -ket":                   {Principal: "hdfs/localhost", Keytab: login.Keytab},
		"no such file":                 {Principal: services.User, Keytab: "/nowhere"},
	} {
		_, err := l.Client()
		testkit.Says(t, l.Principal, err, want)
	}
	testkit.Value(ConfiguredSecurity(login))(t)
	t.Setenv(confEnv, t.TempDir())
	_, err := ConfiguredSecurity(login)
	testkit.Says(t, "a configuration without Kerberos", err, "is not kerberos")
}

// Of each protection of RPC and of data transfers either everything works, or what fails is
// said with the setting that helps.
func TestProtections(t *testing.T) {
	testkit.OnlyInAll(t)
	const (
		rpcKey, dataKey = "hadoop.rpc.protection", "dfs.data.transfer.protection"
		encryptKey      = "dfs.encrypt.data.transfer"
		cipherKey       = encryptKey + ".cipher.suites"
		rulesKey        = "hadoop.security.auth_to_local"
	)
	for name, tt := range map[string]struct {
		settings map[string]string
		want     string
	}{
		"authentication":    {map[string]string{rpcKey: "authentication", dataKey: "authentication", cipherKey: ""}, ""},
		"integrity":         {map[string]string{rpcKey: "integrity", dataKey: "integrity", cipherKey: ""}, cipherKey},
		"RC4":               {map[string]string{cipherKey: ""}, cipherKey},
		"mixed":             {map[string]string{rpcKey: "integrity"}, ""},
		"encrypted":         {map[string]string{dataKey: "", encryptKey: "true"}, ""},
		"a port below 1024": {map[string]string{dataKey: "", "dfs.datanode.address": "127.0.0.1:1004"}, ""},
		"both":              {map[string]string{"dfs.datanode.address": "127.0.0.1:1004"}, ""},
		"auth_to_local":     {map[string]string{rulesKey: "RULE:[1:$1@$0](" + services.User + "@.*)s/.*/video/\nDEFAULT"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, dir := secured(t, tt.settings)
			fs := ownClients(5*time.Second, 10*time.Second)
			got, err := writeAndRead(t, fs, dir+"/a")
			if testkit.Says(t, "a file", err, tt.want); err == nil && got != picture {
				t.Errorf("read %d bytes", len(got))
			}
			owner := services.User
			if tt.settings[rulesKey] != "" {
				owner = "video"
			}
			if space, err := fs.Space(t.Context(), dir+"/a"); err != nil || space.Owner != owner {
				t.Errorf("%+v (%v), want %s as the owner", space, err, owner)
			}
		})
	}
}
