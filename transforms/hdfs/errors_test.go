package hdfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/colinmarc/hdfs/v2"

	"facestream/internal/testkit"
)

type exception struct{ method, class string }

func (e exception) Error() string     { return e.class }
func (e exception) Method() string    { return e.method }
func (e exception) Desc() string      { return "ERROR_APPLICATION" }
func (e exception) Exception() string { return e.class }
func (e exception) Message() string   { return "the text\n\tat java" }

// An error of each sort, what it is and whether a later try may do.
func TestErrors(t *testing.T) {
	const hadoop = "org.apache.hadoop."
	for _, test := range []struct {
		err       error
		is        error
		text      string
		temporary bool
	}{
		{exception{"create", hadoop + "hdfs.server.namenode.SafeModeException"}, nil, "", true},
		{exception{"create", hadoop + "hdfs.protocol.AlreadyBeingCreatedException"}, fs.ErrExist, "", true},
		{exception{"addBlock", "java.io.IOException"}, nil, "addBlock: java.io.IOException: the text", true},
		{exception{"create", "java.io.IOException"}, nil, "create: java.io.IOException: the text", false},
		{exception{"create", "java.lang.NullPointerException"}, nil, "", false},
		{exception{"delete", hadoop + "security.AccessControlException"}, fs.ErrPermission,
			"delete: " + hadoop + "security.AccessControlException: the text", false},
		{exception{"complete", "java.io.FileNotFoundException"}, fs.ErrNotExist, "", false},
		{exception{"create", hadoop + "hdfs.UnknownCryptoProtocolVersionException"}, nil,
			"create: the folder is in an encryption zone, where this client cannot write: choose a folder outside of it (" +
				hadoop + "hdfs.UnknownCryptoProtocolVersionException: the text)", false},

		{syscall.ECONNRESET, syscall.ECONNRESET, "connection reset by peer", true},
		{os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, "", true},
		{errors.New("no available namenodes: EOF"), nil, "no available namenodes: EOF", true},
		{hdfs.ErrReplicating, hdfs.ErrReplicating, "replication in progress", true},
		{finalError{errors.New("wrong")}, nil, "wrong", false},
		{fs.ErrNotExist, fs.ErrNotExist, "", false},
		{syscall.ENOTEMPTY, syscall.ENOTEMPTY, "directory not empty", false},
	} {
		got := interpret(&fs.PathError{Op: "op", Path: "/short", Err: test.err})
		if test.is != nil && !errors.Is(got, test.is) {
			t.Errorf("%v became %v, want %v", test.err, got, test.is)
		}
		if !strings.Contains(got.Error(), test.text) || strings.Contains(got.Error(), "/short") || strings.Contains(got.Error(), "at java") {
			t.Errorf("%v became %q, want %q", test.err, got, test.text)
		}
		testkit.Equal(t, fmt.Sprintf("temporary(%v)", got), temporary(got), test.temporary)
		_, answered := errors.AsType[exception](test.err)
		testkit.Equal(t, fmt.Sprintf("unanswered(%v)", test.err), unanswered(test.err), test.temporary && !answered)
	}
	if unanswered(nil) || interpret(nil) != nil {
		t.Error("no error became one")
	}
}
