package testkit

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"facestream/internal/wait"
)

// MainOfMats runs a package's tests, m.Run or what stands for it, and returns the exit
// status: 1 if Mats of OpenCV stay open, which gocv counts with the tag matprofile.
func MainOfMats(run func() int) (status int) {
	status = run()
	mats := pprof.Lookup("gocv.io/x/gocv.Mat")
	if mats == nil {
		return status
	}
	// A stream that was closed may still wait in OpenCV for a picture.
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if wait.Until(ctx, 20*time.Millisecond, func() bool { return mats.Count() == 0 }) == nil {
		return status
	}
	fmt.Fprintf(os.Stderr, "%d Mats were not closed:\n", mats.Count())
	if err := mats.WriteTo(os.Stderr, 1); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}
