package hdfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/colinmarc/hdfs/v2"
)

// exception is an answer of the NameNode.
type exception struct{ method, class string }

func (e exception) Error() string     { return e.class }
func (e exception) Method() string    { return e.method }
func (e exception) Desc() string      { return "ERROR_APPLICATION" }
func (e exception) Exception() string { return e.class }
func (e exception) Message() string   { return "the text\n\tat java" }

// Every error that is seen, what it is and whether a later try may do.
func TestErrors(t *testing.T) {
	const hadoop = "org.apache.hadoop."
	for _, test := range []struct {
		err       error
		is        error
		text      string
		temporary bool
	}{
		{exception{"create", hadoop + "ipc.StandbyException"}, nil, "", true},
		{exception{"create", hadoop + "ipc.RetriableException"}, nil, "", true},
		{exception{"getFileInfo", hadoop + "ipc.ObserverRetryOnActiveException"}, nil, "", true},
		{exception{"create", hadoop + "hdfs.server.namenode.SafeModeException"}, nil, "", true},
		{exception{"complete", hadoop + "hdfs.server.namenode.LeaseExpiredException"}, nil, "", true},
		{exception{"addBlock", hadoop + "hdfs.server.namenode.NotReplicatedYetException"}, nil, "", true},
		{exception{"create", hadoop + "hdfs.protocol.RecoveryInProgressException"}, fs.ErrExist, "", true},
		{exception{"create", hadoop + "hdfs.protocol.AlreadyBeingCreatedException"}, fs.ErrExist, "", true},
		{exception{"addBlock", "java.io.IOException"}, nil, "addBlock: java.io.IOException: the text", true},
		{exception{"updateBlockForPipeline", "java.io.IOException"}, nil, "", true},
		{exception{"complete", "java.io.IOException"}, nil, "", true},

		{exception{"create", "java.io.IOException"}, nil, "create: java.io.IOException: the text", false},
		{exception{"create", "java.lang.NullPointerException"}, nil, "", false},
		{exception{"delete", hadoop + "security.AccessControlException"}, fs.ErrPermission,
			"delete: " + hadoop + "security.AccessControlException: the text", false},
		{exception{"create", hadoop + "hdfs.protocol.SnapshotAccessControlException"}, fs.ErrPermission, "", false},
		{exception{"complete", "java.io.FileNotFoundException"}, fs.ErrNotExist, "", false},
		{exception{"mkdirs", hadoop + "fs.FileAlreadyExistsException"}, fs.ErrExist, "", false},
		{exception{"create", hadoop + "fs.ParentNotDirectoryException"}, syscall.ENOTDIR, "", false},
		{exception{"delete", hadoop + "fs.PathIsNotEmptyDirectoryException"}, syscall.ENOTEMPTY, "", false},
		{exception{"create", hadoop + "fs.InvalidPathException"}, fs.ErrInvalid, "", false},
		{exception{"create", hadoop + "HadoopIllegalArgumentException"}, fs.ErrInvalid, "", false},
		{exception{"create", hadoop + "hdfs.protocol.UnresolvedPathException"}, nil, "symbolic link", false},
		{exception{"create", hadoop + "hdfs.UnknownCryptoProtocolVersionException"}, nil,
			"create: the folder is in an encryption zone, where this client cannot write: choose a folder outside of it (" +
				hadoop + "hdfs.UnknownCryptoProtocolVersionException: the text)", false},
		{exception{"create", hadoop + "hdfs.protocol.NSQuotaExceededException"}, syscall.EDQUOT, "quota of files and folders", false},
		{exception{"addBlock", hadoop + "hdfs.protocol.DSQuotaExceededException"}, syscall.EDQUOT, "quota of space", false},
		{exception{"addBlock", hadoop + "hdfs.protocol.QuotaByStorageTypeExceededException"}, syscall.EDQUOT, "quota of space", false},
		{exception{"create", hadoop + "hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException"}, nil, "as many files as", false},
		{exception{"create", hadoop + "hdfs.protocol.FSLimitException$PathComponentTooLongException"}, syscall.ENAMETOOLONG, "", false},

		{syscall.ECONNRESET, syscall.ECONNRESET, "connection reset by peer", true},
		{io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, "", true},
		{os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, "", true},
		{errors.New("no available namenodes: EOF"), nil, "no available namenodes: EOF", true},
		{hdfs.ErrReplicating, hdfs.ErrReplicating, "replication in progress", true},
		{finalError{errors.New("wrong")}, nil, "wrong", false},
		{fs.ErrNotExist, fs.ErrNotExist, "", false},
		{fs.ErrExist, fs.ErrExist, "", false},
		{fs.ErrPermission, fs.ErrPermission, "", false},
		{fs.ErrInvalid, fs.ErrInvalid, "", false},
		{syscall.ENOTEMPTY, syscall.ENOTEMPTY, "directory not empty", false},
	} {
		got := interpret(&fs.PathError{Op: "op", Path: "/short", Err: test.err})
		if test.is != nil && !errors.Is(got, test.is) {
			t.Errorf("%v became %v, want %v", test.err, got, test.is)
		}
		if !strings.Contains(got.Error(), test.text) || strings.Contains(got.Error(), "/short") || strings.Contains(got.Error(), "at java") {
			t.Errorf("%v became %q, want %q", test.err, got, test.text)
		}
		if temporary(got) != test.temporary {
			t.Errorf("temporary(%v) = %v", got, !test.temporary)
		}
		var remote exception
		if want := test.temporary && !errors.As(test.err, &remote); unanswered(test.err) != want {
			t.Errorf("unanswered(%v) = %v", test.err, !want)
		}
	}
	if unanswered(nil) || interpret(nil) != nil {
		t.Error("no error became one")
	}
}
