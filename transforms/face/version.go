package face

import "gocv.io/x/gocv"

// OpenCVVersion is the version of OpenCV that this program was compiled with;
// with another one it would not have started.
func OpenCVVersion() string { return gocv.OpenCVVersion() }
