package hdfs

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/colinmarc/hdfs/v2"
)

// verdict is what an exception of the NameNode means.
type verdict struct {
	again bool   // the call, or writing a new file, may succeed a little later
	is    error  // for errors.Is
	means string // what to do, where the exception's text does not say it
}

// verdicts are those of the NameNode's exceptions. Any other exception is final: most
// are about the call itself.
var verdicts = map[string]verdict{
	// The NameNode is not ready.
	"org.apache.hadoop.ipc.StandbyException":                   {again: true},
	"org.apache.hadoop.ipc.ObserverRetryOnActiveException":     {again: true},
	"org.apache.hadoop.ipc.RetriableException":                 {again: true},
	"org.apache.hadoop.hdfs.server.namenode.SafeModeException": {again: true},

	// The file is not ready, or no longer ours.
	"org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException":     {again: true, is: fs.ErrExist},
	"org.apache.hadoop.hdfs.protocol.RecoveryInProgressException":      {again: true, is: fs.ErrExist},
	"org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException":     {again: true},
	"org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException": {again: true},

	// What is there, and who may.
	"java.io.FileNotFoundException":                                  {is: fs.ErrNotExist},
	"org.apache.hadoop.HadoopIllegalArgumentException":               {is: fs.ErrInvalid},
	"org.apache.hadoop.fs.FileAlreadyExistsException":                {is: fs.ErrExist},
	"org.apache.hadoop.fs.InvalidPathException":                      {is: fs.ErrInvalid},
	"org.apache.hadoop.fs.ParentNotDirectoryException":               {is: syscall.ENOTDIR},
	"org.apache.hadoop.fs.PathIsNotEmptyDirectoryException":          {is: syscall.ENOTEMPTY},
	"org.apache.hadoop.hdfs.protocol.SnapshotAccessControlException": {is: fs.ErrPermission},
	"org.apache.hadoop.security.AccessControlException":              {is: fs.ErrPermission},

	// Limits.
	"org.apache.hadoop.hdfs.protocol.NSQuotaExceededException": {
		is:    syscall.EDQUOT,
		means: "the folder's quota of files and folders is used up: remove some, choose another folder, or have an administrator raise it",
	},
	"org.apache.hadoop.hdfs.protocol.DSQuotaExceededException": {
		is:    syscall.EDQUOT,
		means: "the folder's quota of space is used up: remove files, choose another folder, or have an administrator raise it",
	},
	"org.apache.hadoop.hdfs.protocol.QuotaByStorageTypeExceededException": {
		is:    syscall.EDQUOT,
		means: "the folder's quota of space on one type of storage is used up: remove files, choose another folder, or have an administrator raise it",
	},
	"org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException": {
		means: "the folder holds as many files as one folder may: choose another folder, or have an administrator raise the limit",
	},
	"org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException": {is: syscall.ENAMETOOLONG},

	// What the library cannot do.
	"org.apache.hadoop.hdfs.UnknownCryptoProtocolVersionException": {
		means: "the folder is in an encryption zone, where this client cannot write: choose a folder outside of it",
	},
	"org.apache.hadoop.hdfs.protocol.UnresolvedPathException": {
		means: "there is a symbolic link in the path, which this client does not follow: choose the folder it leads to",
	},
}

// onBlock are the calls for a file that is being written. They answer with a plain
// IOException when DataNodes refuse a block or have lost it: a new file gets other
// DataNodes.
var onBlock = map[string]bool{"addBlock": true, "updateBlockForPipeline": true, "complete": true}

// remoteError is a NameNode's exception with the first line of its text.
type remoteError struct {
	verdict
	remote hdfs.Error
}

func (e remoteError) Error() string {
	text, _, _ := strings.Cut(e.remote.Message(), "\n")
	text = e.remote.Exception() + ": " + text
	if e.means != "" {
		text = e.means + " (" + text + ")"
	}
	return e.remote.Method() + ": " + text
}

func (e remoteError) Unwrap() error { return e.is }

// finalError is an error of this package that no other try mends.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// interpret removes the library's path from an error, to which the full name is added
// later, and gives a verdict on exceptions that the library has not turned into errors
// of package fs.
func interpret(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		err = p.Err
	}
	var remote hdfs.Error // which is no error to Go
	if !errors.As(err, &remote) {
		return err
	}
	v := verdicts[remote.Exception()]
	if onBlock[remote.Method()] && remote.Exception() == "java.io.IOException" {
		v.again = true
	}
	return remoteError{v, remote}
}

// temporary reports whether a call may succeed a little later. An error that is
// neither an answer of the NameNode nor a finalError is about a connection.
func temporary(err error) bool {
	if remote, ok := errors.AsType[remoteError](err); ok {
		return remote.again
	}
	if _, ok := errors.AsType[finalError](err); ok {
		return false
	}
	for _, answer := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, syscall.ENOTEMPTY} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true
}

// unanswered reports whether the NameNode may have done a call that ended with err.
func unanswered(err error) bool {
	err = interpret(err)
	_, answered := errors.AsType[remoteError](err)
	return err != nil && !answered && temporary(err)
}
