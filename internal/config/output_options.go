package config

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"facestream/internal/cli"
	"facestream/transforms/face"
	"facestream/transforms/hdfs"
	"facestream/transforms/store"
)

// defaultCropMargin leaves room for hair and chin, which a face's box cuts off.
const defaultCropMargin = 0.2

// outputFlags say what is stored of a frame with faces.
type outputFlags struct {
	write        cli.List
	umask, store string
}

const (
	minSegment = 1 << 20
	// maxRowsWindow is the longest window whose tables are there at its end.
	maxRowsWindow = store.TableAge / 2
)

func (v *outputFlags) add(f *flag.FlagSet, o *Options) {
	v.write = "frame,events"
	f.Var(&v.write, "write", "What to store of a frame with faces, a `LIST` of: frame, the frame as it came; annotated, with a box around each face; crops, each face by itself; events, a JSON line for each face.")
	f.Float64Var(&o.Write.CropMargin, "crop_margin", defaultCropMargin, fmt.Sprintf("Margin around a face in its crop, a `PART` of the sides of its box, from 0 to %d.", face.MaxCropMargin))
	f.BoolVar(&o.Latest, "latest", false, "Also keep a copy of the latest picture as face.jpg in the folder of the pictures, replaced after each window.")
	f.StringVar(&v.store, "store", store.Files, "`NAME` of how pictures are stored: files, one for each; or parquet, rows of Parquet files, for clusters that must live with the number of files.")
	o.SegmentBytes = 512 << 20
	f.Var((*cli.Bytes)(&o.SegmentBytes), "segment_bytes", "The `BYTES` up to which Parquet files of an hour are put together, such as 512MiB.")
	f.StringVar(&v.umask, "umask", "", "`UMASK` of new files and folders in HDFS, in octal such as 027, or as the permissions that are left, such as u=rwx,g=rx,o=. Default: fs.permissions.umask-mode of the configuration in $HADOOP_CONF_DIR, or 022.")
}

func (v *outputFlags) check(o *Options) error {
	w, err := face.ParseOutput(string(v.write))
	if err != nil {
		return fmt.Errorf("--write=%s: %w", v.write, err)
	}
	w.CropMargin = o.Write.CropMargin
	if err := w.Validate(); err != nil {
		return fmt.Errorf("--crop_margin: %w", err)
	}
	if !w.Crops {
		w.CropMargin = 0 // it changes nothing
	}
	if err := cli.OneOf("store", v.store, store.Stores); err != nil {
		return err
	}
	w.Rows = v.store == store.Parquet
	o.Write = w
	switch {
	case w.Rows && !w.Pictures():
		return errors.New("--store=parquet needs a picture: add frame, annotated or crops to --write")
	case w.Rows && o.Window > maxRowsWindow:
		return fmt.Errorf("--window=%s: with --store=parquet it must be at most %s", o.Window, maxRowsWindow)
	case o.SegmentBytes < minSegment:
		return fmt.Errorf("--segment_bytes=%v: it must be at least 1MiB", cli.Bytes(o.SegmentBytes))
	case o.Latest && !w.Pictures():
		return errors.New("--latest needs a picture: add frame, annotated or crops to --write")
	}
	o.Umask, err = v.umaskFor(o.Output)
	return err
}

// umaskFor returns the umask of what is written to an output.
func (v *outputFlags) umaskFor(output string) (hdfs.Umask, error) {
	switch {
	case !strings.Contains(output, "://") && v.umask != "":
		return 0, fmt.Errorf("--umask=%s: it is for HDFS; in a folder of this machine the umask of this process decides", v.umask)
	case !strings.Contains(output, "://"):
		return hdfs.DefaultUmask, nil
	case v.umask == "":
		return hdfs.ConfiguredUmask()
	}
	u, err := hdfs.ParseUmask(v.umask)
	if err != nil {
		return 0, fmt.Errorf("--umask: %w", err)
	}
	return u, nil
}
