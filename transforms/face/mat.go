package face

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"gocv.io/x/gocv"

	"facestream/transforms/frame"
)

// greyMat returns the frame as a grey picture; the caller closes it before it
// lets go of the frame. Of a JPEG that is damaged the error is a corruptJPEG.
func greyMat(f frame.Frame) (gocv.Mat, error) {
	switch f.Format {
	case frame.JPEG:
		return decodeJPEG(f, gocv.IMReadGrayScale, 8)
	case frame.PNG:
		return decodeFile(f, gocv.IMReadGrayScale)
	case frame.BGR:
		return convertRaw(f, gocv.ColorBGRToGray)
	case frame.RGB:
		return convertRaw(f, gocv.ColorRGBToGray)
	case frame.Grey:
		return rawMat(f)
	}
	return gocv.Mat{}, unknownFormat(f)
}

// nativeMat returns the frame grey if it is, else blue, green, red, which is what
// OpenCV encodes; the caller closes it before it lets go of the frame.
func nativeMat(f frame.Frame) (gocv.Mat, error) {
	switch f.Format {
	case frame.JPEG, frame.PNG:
		return decodeFile(f, gocv.IMReadAnyColor)
	case frame.RGB:
		return convertRaw(f, gocv.ColorBGRToRGB) // and back: it swaps red and blue
	case frame.BGR, frame.Grey:
		return rawMat(f)
	}
	return gocv.Mat{}, unknownFormat(f)
}

// colourMat returns the frame in blue, green and red, and the size of the whole picture: a
// JPEG may come at half of its size, a quarter or an eighth, if no side gets shorter than
// longest by that. The caller closes it before it lets go of the frame.
func colourMat(f frame.Frame, longest int) (m gocv.Mat, whole image.Point, err error) {
	eighths := 8
	if f.Format != frame.JPEG {
		m, err = nativeMat(f)
	} else {
		for !mayBeTurned(f.Data) && eighths > 1 && int(max(f.Width, f.Height)) >= longest*16/eighths {
			eighths /= 2
		}
		m, err = decodeJPEG(f, gocv.IMReadColor, eighths)
	}
	if err != nil {
		return m, whole, err
	}
	if whole = image.Pt(m.Cols(), m.Rows()); eighths < 8 {
		whole = image.Pt(int(f.Width), int(f.Height))
	}
	if m.Channels() == 1 {
		grey := m
		defer grey.Close()
		m = inColour(grey)
	}
	return m, whole, nil
}

// inColour returns a copy of a picture in blue, green and red.
func inColour(picture gocv.Mat) gocv.Mat {
	m := gocv.NewMat()
	if picture.Channels() == 1 {
		gocv.CvtColor(picture, &m, gocv.ColorGrayToBGR)
	} else {
		picture.CopyTo(&m)
	}
	return m
}

func unknownFormat(f frame.Frame) error {
	return fmt.Errorf("the frame has the unknown format %q", f.Format)
}

// rawMat returns a raw frame as a Mat that shares its bytes. OpenCV checks
// nothing here.
func rawMat(f frame.Frame) (gocv.Mat, error) {
	width, height, size := int(f.Width), int(f.Height), frame.BytesPerPixel(f.Format)
	if frame.CheckSize(width, height) != nil || len(f.Data) != width*height*size {
		return gocv.Mat{}, fmt.Errorf("a raw frame of %dx%d pixels cannot have %d bytes", width, height, len(f.Data))
	}
	kind := gocv.MatTypeCV8UC3
	if size == 1 {
		kind = gocv.MatTypeCV8UC1
	}
	return gocv.NewMatFromBytes(height, width, kind, f.Data)
}

// convertRaw returns a raw frame in other colours.
func convertRaw(f frame.Frame, code gocv.ColorConversionCode) (gocv.Mat, error) {
	raw, err := rawMat(f)
	if err != nil {
		return gocv.Mat{}, err
	}
	defer raw.Close()
	m := gocv.NewMat()
	gocv.CvtColor(raw, &m, code)
	return m, nil
}

// decodeFile returns a JPEG or a PNG as OpenCV decodes it: IMReadGrayScale is
// grey, IMReadAnyColor is grey only if the file is.
func decodeFile(f frame.Frame, flag gocv.IMReadFlag) (gocv.Mat, error) {
	if !frame.HasMagic(f.Format, f.Data) {
		return gocv.Mat{}, fmt.Errorf("the frame is said to be a %s and is none", f.Format)
	}
	data := complete(f)
	if f.Format == frame.PNG {
		data = frame.Essential(data)
	}
	m, err := gocv.IMDecode(data, flag)
	if err != nil {
		return gocv.Mat{}, fmt.Errorf("decoding the %s: %w", f.Format, err)
	}
	if !m.Empty() {
		return m, nil
	}
	m.Close()
	// There are files that OpenCV refuses and that are pictures all the same: one of
	// them must not fail a bundle for ever.
	if f.Format == frame.JPEG {
		return decodeJPEG(f, flag, 8)
	}
	return decodeByGo(f, flag)
}

// decodeByGo decodes a PNG.
func decodeByGo(f frame.Frame, flag gocv.IMReadFlag) (gocv.Mat, error) {
	img, err := png.Decode(bytes.NewReader(f.Data))
	if err != nil {
		return gocv.Mat{}, fmt.Errorf("decoding the %s: %w", f.Format, err)
	}
	size, model := img.Bounds().Size(), img.ColorModel()
	kind, channels := gocv.MatTypeCV8UC3, 3
	if flag == gocv.IMReadGrayScale || model == color.GrayModel || model == color.Gray16Model {
		kind, channels = gocv.MatTypeCV8UC1, 1
	}
	pixels := make([]byte, 0, size.X*size.Y*channels)
	for y := range size.Y {
		for x := range size.X {
			if c := opaqueColour(img.At(x, y)); kind == gocv.MatTypeCV8UC1 {
				pixels = append(pixels, color.GrayModel.Convert(c).(color.Gray).Y)
			} else {
				pixels = append(pixels, c.B, c.G, c.R)
			}
		}
	}
	return gocv.NewMatFromBytes(size.Y, size.X, kind, pixels)
}

// opaqueColour returns a colour of png.Decode as it is, however transparent, as OpenCV does.
func opaqueColour(c color.Color) color.NRGBA {
	if c, ok := c.(color.NRGBA64); ok {
		return color.NRGBA{byte(c.R >> 8), byte(c.G >> 8), byte(c.B >> 8), 0xFF}
	}
	opaque := color.NRGBAModel.Convert(c).(color.NRGBA)
	opaque.A = 0xFF
	return opaque
}
