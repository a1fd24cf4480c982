//go:build matprofile

package face

import (
	"bytes"
	"fmt"

	"gocv.io/x/gocv"
)

// leakedMats tells where Mats were made that nobody closed.
func leakedMats() string {
	n := gocv.MatProfile.Count()
	if n == 0 {
		return ""
	}
	var b bytes.Buffer
	gocv.MatProfile.WriteTo(&b, 1)
	return fmt.Sprintf("%d Mats were not closed:\n%s", n, b.String())
}
