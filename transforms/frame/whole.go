package frame

import (
	"bytes"
	"encoding/binary"
)

// provesWhole reports whether jpeg.Decode certainly decodes the value. Decoding makes
// pixels that are not needed here, and costs more than everything else between Kafka
// and HDFS but finding faces.
//
// It reads the codes of a sequential JPEG with Huffman tables (ITU-T T.81, B.2
// and F.2), of one or three components and 8 bits a sample, as cameras write them,
// and is at least as strict as image/jpeg. False proves nothing: the JPEG may be
// progressive, unusual, or damaged. It allocates nothing, and its time depends on the
// size of the value alone.
func provesWhole(value []byte) bool {
	if !bytes.HasPrefix(value, jpegMagic) {
		return false
	}
	var w walk
	for rest := value[len(jpegMagic)-1:]; len(rest) >= 2 && rest[0] == 0xFF; {
		marker := rest[1]
		if rest = rest[2:]; marker == markerEnd {
			return w.scanned
		}
		if len(rest) < 2 {
			return false
		}
		size := int(binary.BigEndian.Uint16(rest))
		if size < 2 || size > len(rest) {
			return false
		}
		segment := rest[2:size]
		rest = rest[size:]
		ok := false
		switch marker {
		case markerBaseline, markerExtended:
			ok = w.frame(segment)
		case markerHuffman:
			ok = w.huffman(segment)
		case markerQuantization:
			ok = quantization(segment)
		case markerInterval:
			ok = w.interval(segment)
		case markerScan:
			rest, ok = w.scan(segment, rest)
		default:
			ok = marker >= firstApp && marker <= lastApp || marker == markerComment
		}
		if !ok {
			return false
		}
	}
	return false
}

// What image/jpeg knows of tables; of those for Huffman codes, a baseline JPEG
// has two of each class.
const (
	huffmanTables      = 2
	quantizationTables = 4
)

// The classes of Huffman tables.
const (
	dcClass = iota
	acClass
	huffmanClasses
)

// maxBlocks is the most blocks of an interleaved MCU (B.2.3).
const maxBlocks = 10

// walk is what a JPEG has said so far.
type walk struct {
	width, height int
	count         int // of components, 0 before the frame header
	components    [3]component
	tables        [huffmanClasses][huffmanTables]huffman
	restart       int // MCUs between markers, or 0
	scanned       bool
}

// component is what a frame header says of one: how many blocks of it are beside
// each other, and below each other, in an interleaved MCU.
type component struct {
	id                   byte
	horizontal, vertical int
}

func (c component) blocks() int { return c.horizontal * c.vertical }

// frame reads a frame header (B.2.2).
func (w *walk) frame(b []byte) bool {
	const fixed, each = 6, 3
	if w.count != 0 || len(b) < fixed || b[0] != 8 || int(b[5])*each != len(b)-fixed {
		return false
	}
	w.height, w.width = int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	if w.width == 0 || w.height == 0 {
		return false
	}
	w.count = int(b[5])
	if w.count != 1 && w.count != len(w.components) {
		return false
	}
	for i := range w.count {
		said := b[fixed+each*i:]
		c := component{said[0], int(said[1] >> 4), int(said[1] & 0xF)}
		if said[2] >= quantizationTables || !validSampling(c.horizontal) || !validSampling(c.vertical) {
			return false
		}
		for _, other := range w.components[:i] {
			if c.id == other.id {
				return false
			}
		}
		w.components[i] = c
	}
	if w.count == 1 {
		w.components[0].horizontal, w.components[0].vertical = 1, 1 // whatever it says (A.2.2)
		return true
	}
	// image/jpeg does not support other ratios.
	first, second, third := w.components[0], w.components[1], w.components[2]
	return first.vertical <= 2 &&
		first.horizontal%second.horizontal == 0 && first.vertical%second.vertical == 0 &&
		second.horizontal == third.horizontal && second.vertical == third.vertical
}

// validSampling reports whether image/jpeg supports the sampling factor.
func validSampling(factor int) bool { return factor == 1 || factor == 2 || factor == 4 }

// huffman reads Huffman tables (B.2.4.2).
func (w *walk) huffman(b []byte) bool {
	for len(b) > 0 {
		const fixed = 1 + codeBits
		class, id := b[0]>>4, b[0]&0xF
		if len(b) < fixed || class >= huffmanClasses || id >= huffmanTables {
			return false
		}
		stepOf := dcStep
		if class == acClass {
			stepOf = acStep
		}
		n, ok := w.tables[class][id].define((*[codeBits]byte)(b[1:fixed]), b[fixed:], stepOf)
		if !ok {
			return false
		}
		b = b[fixed+n:]
	}
	return true
}

// quantization checks quantization tables (B.2.4.1), whose contents do not matter.
func quantization(b []byte) bool {
	for len(b) > 0 {
		bytesEach, id := int(b[0]>>4)+1, b[0]&0xF
		size := 1 + blockSize*bytesEach
		if bytesEach > 2 || id >= quantizationTables || size > len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}

// interval reads a restart interval (B.2.4.4).
func (w *walk) interval(b []byte) bool {
	if len(b) != 2 {
		return false
	}
	w.restart = int(binary.BigEndian.Uint16(b))
	return true
}

// tables are those of the codes of a block.
type tables struct{ dc, ac *huffman }

// scan reads a scan header (B.2.3) and the data behind it, of which it returns
// what comes after the scan.
func (w *walk) scan(b, data []byte) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	n := int(b[0])
	if n < 1 || len(b) != 4+2*n ||
		!bytes.Equal(b[len(b)-3:], []byte{0, blockSize - 1, 0}) { // of sequential JPEGs
		return nil, false
	}
	var unit [maxBlocks]tables // the blocks of an MCU
	blocks := 0
	var seen [len(w.components)]bool
	var c component
	for said := b[1 : 1+2*n]; len(said) > 0; said = said[2:] {
		i := w.index(said[0])
		dc, ac := said[1]>>4, said[1]&0xF
		if i < 0 || seen[i] || dc >= huffmanTables || ac >= huffmanTables {
			return nil, false
		}
		seen[i] = true
		t := tables{&w.tables[dcClass][dc], &w.tables[acClass][ac]}
		c = w.components[i]
		if blocks+c.blocks() > len(unit) {
			return nil, false
		}
		for range c.blocks() {
			unit[blocks] = t
			blocks++
		}
	}
	across := mcuCount(w.width, w.components[0].horizontal)
	down := mcuCount(w.height, w.components[0].vertical)
	if n == 1 && c.blocks() > 1 {
		// Each block is an MCU, and those beyond the picture are left out (A.2.2).
		// With restarts image/jpeg counts other MCUs.
		if w.restart > 0 {
			return nil, false
		}
		blocks = 1
		across = min(across*c.horizontal, mcuCount(w.width, 1))
		down = min(down*c.vertical, mcuCount(w.height, 1))
	}
	w.scanned = true
	return readMCUs(data, unit[:blocks], across*down, w.restart)
}

// index returns the index of a component, and -1 if there is none.
func (w *walk) index(id byte) int {
	for i, c := range w.components[:w.count] {
		if c.id == id {
			return i
		}
	}
	return -1
}

// mcuCount returns how many MCUs of so many blocks cover the pixels.
func mcuCount(pixels, blocks int) int {
	const side = 8
	return (pixels + side*blocks - 1) / (side * blocks)
}

// readMCUs reads all MCUs of a scan, with a marker after each interval of them if
// that is not 0, and returns what comes after them.
func readMCUs(data []byte, unit []tables, mcus, interval int) (rest []byte, ok bool) {
	r := bitReader{data: data}
	for mcu := range mcus {
		if interval > 0 && mcu > 0 && mcu%interval == 0 {
			if !r.restart(firstRestart + byte(mcu/interval-1)%restarts) {
				return nil, false
			}
		}
		for _, t := range unit {
			if !r.block(t.dc, t.ac) {
				return nil, false
			}
		}
	}
	return data[r.pos:], r.end()
}
