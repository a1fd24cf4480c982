package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/color"
	"image/jpeg"
	"iter"
)

// JPEGContentType is the content type of a JPEG file. It may be grey or have
// three colours, be baseline or progressive, have no Huffman tables if they are the
// standard's, and lack the marker of its end. Bytes after its end are kept.
// JPEGs with four colours (CMYK) or more than MaxScans scans are not supported.
const JPEGContentType = "image/jpeg"

// pixelsPerByte is the most that a byte of a JPEG can hold: an 8x8 block takes
// one bit or more.
const pixelsPerByte = 8 * 8 * 8

var jpegMagic = []byte{0xFF, 0xD8, 0xFF}

// checkJPEG compares what the JPEG says of itself with the limits. Whether it is whole
// is found out where it is decoded, in face.Detect.
func checkJPEG(value []byte) (picture, *refusal) {
	header, err := jpeg.DecodeConfig(bytes.NewReader(value))
	if _, unsupported := errors.AsType[jpeg.UnsupportedError](err); unsupported {
		return picture{}, refuse(UnsupportedFormat, "reading the JPEG's header: %v%s", err, unread(value))
	}
	if err != nil {
		return picture{}, refuse(CorruptJPEG, "reading the JPEG's header: %v", err)
	}
	p := picture{JPEG, header.Width, header.Height}
	if p.width < 1 || p.height < 1 {
		return picture{}, refuse(CorruptJPEG, "the JPEG's header says %dx%d pixels", p.width, p.height)
	}
	if err := CheckSize(p.width, p.height); err != nil {
		return picture{}, refuse(TooLarge, "%v", err)
	}
	if header.ColorModel == color.CMYKModel {
		return picture{}, refuse(UnsupportedFormat, "a JPEG with four colours (CMYK) is not supported: save it as RGB")
	}
	if p.width*p.height > len(value)*pixelsPerByte {
		return picture{}, refuse(CorruptJPEG, "%d bytes cannot hold the %dx%d pixels that the JPEG's header says", len(value), p.width, p.height)
	}
	if n := scans(value); n > MaxScans {
		return picture{}, refuse(UnsupportedFormat, "a JPEG with %d scans is not supported, only up to %d", n, MaxScans)
	}
	return p, nil
}

// The markers of a JPEG behind a byte of 0xFF, of ITU-T T.81, table B.1. Those of
// single bytes have no length after them; 0 is none, but a 0xFF of a scan's data.
const (
	firstSingle = 0xD0
	lastSingle  = 0xD8
	markerEnd   = 0xD9
	markerScan  = 0xDA
)

// uncommon are the kinds of JPEGs that few programs read, by the marker of the frame's
// header.
var uncommon = map[byte]string{
	0xC3: "a lossless one", 0xC5: "a hierarchical one", 0xC6: "a hierarchical one", 0xC7: "a hierarchical one",
	0xC9: "arithmetic-coded", 0xCA: "arithmetic-coded", 0xCB: "arithmetic-coded",
	0xCD: "arithmetic-coded", 0xCE: "arithmetic-coded", 0xCF: "arithmetic-coded",
}

// segments gives the markers that have a length behind them, of a JPEG that is whole or not.
func segments(value []byte) iter.Seq[byte] {
	return func(yield func(byte) bool) {
		for rest := value[len(jpegMagic)-1:]; ; {
			i := bytes.IndexByte(rest, 0xFF)
			if i < 0 || i+1 == len(rest) {
				return
			}
			marker := rest[i+1]
			rest = rest[i+1:]
			switch {
			case marker == 0xFF: // filling: the next byte is the marker
				continue
			case marker == 0, marker >= firstSingle && marker <= lastSingle:
				rest = rest[1:]
				continue
			case marker == markerEnd, len(rest) < 3, !yield(marker):
				return
			}
			rest = rest[min(len(rest), 1+int(binary.BigEndian.Uint16(rest[1:]))):]
		}
	}
}

// scans counts the scans of a JPEG.
func scans(value []byte) (n int) {
	for marker := range segments(value) {
		if marker == markerScan {
			n++
		}
	}
	return n
}

// unread says of a JPEG that Go does not read what it is, where it knows, and what to do.
func unread(value []byte) string {
	for marker := range segments(value) {
		if kind := uncommon[marker]; kind != "" {
			return ": it is " + kind + ": save it as a baseline or progressive JPEG (jpegtran does so with an arithmetic-coded one)"
		}
	}
	return ": save it with 8 bits a sample, as grey or in three colours"
}
