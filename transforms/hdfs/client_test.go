package hdfs

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/internal/wait"
)

// A cluster that cannot be reached is an error that names it and the user, at
// the end of the budget or of the context.
func TestUnreachable(t *testing.T) {
	closed := listen(t)
	closed.Close()
	for about, address := range map[string]string{"refuses": closed.Addr().String(), "silent": silent(t, new(atomic.Int64))} {
		t.Run(about, func(t *testing.T) {
			f := ownClients(50*time.Millisecond, 300*time.Millisecond)
			name := "hdfs://bob@" + address + "/a"
			_, err := f.Size(context.Background(), name)
			pathError, ok := errors.AsType[*fs.PathError](err)
			if !ok || pathError.Path != name || !strings.Contains(err.Error(), "giving up after") {
				t.Errorf("error is %v, want a *fs.PathError that gives up on %s", err, name)
			}

			f = ownClients(50*time.Millisecond, time.Hour)
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			_, err = f.Size(ctx, name)
			testkit.Is(t, "a context that ends", err, context.DeadlineExceeded)
			testkit.Says(t, "a context that ends", err, address)
		})
	}
}

// What has never answered may have a wrong address. That is said within seconds, and not at the
// end of the budget for outages, and of several NameNodes each is tried before.
func TestFirstContact(t *testing.T) {
	closed := listen(t)
	closed.Close()
	nameNode := hdfsAddress(t)
	const wrong = "has --output the address of a NameNode's RPC, as in fs.defaultFS (8020 is usual)?"
	for about, tc := range map[string]struct {
		address, says string // nothing if it works
		outage        bool
	}{
		"refuses":             {closed.Addr().String(), wrong, true},
		"silent":              {silent(t, new(atomic.Int64)), wrong, true},
		"no such host":        {"nowhere.invalid:8020", "nowhere.invalid", false},
		"silent, and another": {silent(t, new(atomic.Int64)) + "," + nameNode, "", false},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			f := newClients(time.Minute, time.Hour)
			f.clients.connections = connections
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			_, err := f.Size(ctx, "hdfs://bob@"+tc.address+"/")
			if (err == nil) != (tc.says == "") || err != nil && (!strings.Contains(err.Error(), tc.says) || errors.Is(err, wait.ErrOutage) != tc.outage) {
				t.Errorf("error is %v, want one with %q, of an outage: %t", err, tc.says, tc.outage)
			}
		})
	}
	t.Run("DataNode", func(t *testing.T) {
		t.Parallel()
		f := newClients(time.Minute, time.Hour)
		f.clients.dialDataNode = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		err := f.WriteFrom(ctx, folder(t, f, testservices.Proxy(t, nameNode).Addr())+"/a", Whole([]byte("a")))
		testkit.Is(t, "a DataNode that cannot be reached", err, wait.ErrOutage)
		testkit.Says(t, "a DataNode that cannot be reached", err, "no DataNode can be reached")
	})
}

func TestWrongSettingsAreErrorsAtOnce(t *testing.T) {
	writeConf(t, nil)
	f := ownClients(time.Second, time.Hour)
	_, err := f.Size(context.Background(), "hdfs://bob@nowhere/a")
	testkit.Says(t, "nameservice without configuration", err, "HADOOP_CONF_DIR")
	configure(t, map[string]string{"hadoop.security.authentication": "kerberos"})
	_, err = f.Size(context.Background(), "hdfs://bob@127.0.0.1:1/a")
	testkit.Says(t, "Kerberos", err, "dfs.namenode.kerberos.principal is missing")
}

// A process has one client for calls that follow one another and a few for those at the same
// time, however many file systems it opens.
func TestClientsAreShared(t *testing.T) {
	name := folder(t, New(t.Context()).(*fileSystem), hdfsAddress(t))
	var used []*client
	var nest func(calls int) error // in one another
	nest = func(calls int) error {
		f := New(t.Context()).(*fileSystem)
		err := f.do(t.Context(), "test", name, func(c *client, _ location) error {
			used = append(used, c)
			if calls == 1 {
				return nil
			}
			return nest(calls - 1)
		})
		return errors.Join(err, f.Close())
	}
	for _, calls := range []int{1, 1, 2 * connections, 1} {
		testkit.Must(t, nest(calls))
	}
	first, few := used[0], used[2:][:connections]
	want := slices.Concat([]*client{first, first}, few, few, []*client{first})
	distinct := map[*client]bool{}
	for _, c := range few {
		distinct[c] = true
	}
	if !slices.Equal(used, want) || few[0] != first || len(distinct) != connections {
		t.Errorf("the clients are %v, want the first twice, %d twice, and the first", used, connections)
	}
}

// Many that wait for a NameNode that hangs find out together, not one after the
// other.
func TestHangingNameNodeIsAskedOnce(t *testing.T) {
	const calls = 20
	f := ownClients(300*time.Millisecond, time.Millisecond)
	var asked atomic.Int64
	name := "hdfs://bob@" + silent(t, &asked) + "/a"
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if _, err := f.Size(context.Background(), name); err == nil {
				t.Error("no error")
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n > calls/2 {
		t.Errorf("it was asked %d times for %d calls", n, calls)
	}
}

// answering is a NameNode that says the same on each connection, whatever it is asked, and
// closes it.
func answering(t *testing.T, answer []byte) (address string) {
	return testkit.Serve(t, func(c net.Conn) {
		_, _ = c.Write(answer)
		_, _ = c.Read(make([]byte, 1000))
	})
}

// What does not speak the NameNode's protocol is said to be so at once, however much it
// promises to say; if it were tried again, it would be for an hour.
func TestStrangers(t *testing.T) {
	for name, test := range map[string]struct{ answer, says string }{
		"web page":               {"HTTP/1.1 400 Bad Request\r\n\r\n", "is a web port"},
		"4 GB":                   {"\xff\xff\xff\xff", `begins with "\xff\xff\xff\xff"`},
		"1 MB":                   {"\x00\x10\x00\x00" + strings.Repeat("x", 1<<20), "does not speak the NameNode's protocol"},
		"SSH":                    {"SSH-2.0-x\r\n", `"SSH-"`},
		"TLS":                    {"\x15\x03\x01\x00\x02\x02\x46", "does not speak"},
		"message without an end": {"\x00\x00\x00\x01\x01", "does not speak"},
		"hostile varint":         {"\x00\x00\x00\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "does not speak"},
		"zeros":                  {"\x00\x00\x00\x00", "does not speak"},
		"nothing":                {"", "closed the connection without an answer"},
		// RpcResponseHeaderProto with callId -1 and status FATAL.
		"Kerberos": {"\x00\x00\x00\x0e\x0d\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x02", "it may ask for Kerberos"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := answering(t, []byte(test.answer))
			_, err := ownClients(time.Minute, time.Hour).Size(context.Background(), "hdfs://bob@"+address+"/a")
			testkit.Says(t, name, err, test.says, address)
		})
	}
	t.Run("NameNode's web port", func(t *testing.T) {
		web := strings.TrimPrefix(testservices.Start(t, services.Options{HDFS: true}).Web, "http://")
		_, err := ownClients(time.Minute, time.Hour).Size(context.Background(), "hdfs://bob@"+web+"/a")
		testkit.Says(t, web, err, web+" is a web port, maybe that of the NameNode: give the port of its RPC")
	})
}
