package frame

import "encoding/binary"

// blockSize is the number of coefficients of a block: the first is the DC
// coefficient, the others are the AC coefficients.
const blockSize = 64

// The most bits that follow the code of a coefficient of 8-bit samples, of ITU-T
// T.81, F.1.2.1.2 and F.1.2.2.1. Together with a code they fit into minBits.
const (
	dcBits = 11
	acBits = 10
)

// A step is what one Huffman code does: the upper byte says by how many
// coefficients it goes on, the lower how many bits it has with those that follow
// it. It is 0 if there is no such code.
type step uint16

// How far two steps go that are not of 1 to 16 coefficients. Whoever adds them up
// is at blockSize, or above blockEnd, if the block is right.
const (
	blockEnd = 2 * blockSize // the other coefficients are 0: from 1 or more it leads above itself
	noStep   = blockSize + 1 // no block contains it: from 0 to blockSize-1 it leads between the two
)

// dcStep returns the step of a DC code (F.2.2.1), but for the code's own bits.
func dcStep(symbol byte) step {
	if symbol > dcBits {
		return noStep << 8
	}
	return 1<<8 | step(symbol)
}

// acStep returns the step of an AC code (F.2.2.2), but for the code's own bits.
func acStep(symbol byte) step {
	zeros, bits := symbol>>4, symbol&0xF
	switch {
	case symbol == 0:
		return blockEnd << 8
	case bits > acBits, bits == 0 && zeros != 15: // the latter is of progressive JPEGs
		return noStep << 8
	}
	return step(zeros+1)<<8 | step(bits)
}

const (
	codeBits   = 16 // of the longest code
	directBits = 10 // of the longest code that needs no search
)

// huffman is a Huffman table (C.2, F.2.2.3) without what the codes stand for.
// One that is not defined has no codes.
type huffman struct {
	// direct gives the step by the next directBits bits, and 0 if they are only
	// the beginning of a code, or of none.
	direct [1 << directBits]step
	steps  [256]step // of all codes, the shortest first
	// By the length of codes: what the next codeBits bits are below for a code of
	// this length or a shorter one, and what a code of this length must have
	// added to be an index of steps.
	limit  [codeBits + 1]uint32
	offset [codeBits + 1]int
}

// define makes the table of what a JPEG says (B.2.4.2): how many codes of each
// length there are, and the symbols of all. It returns the number of symbols,
// and false if there are too few, or are more codes than bits can tell apart.
func (h *huffman) define(counts *[codeBits]byte, symbols []byte, stepOf func(byte) step) (int, bool) {
	clear(h.direct[:])
	code, n := 0, 0
	for i, count := range counts {
		bits := i + 1
		code <<= 1
		h.offset[bits] = n - code
		if code+int(count) > 1<<bits || n+int(count) > min(len(symbols), len(h.steps)) {
			return 0, false
		}
		for range count {
			s := stepOf(symbols[n]) + step(bits)
			h.steps[n] = s
			if bits <= directBits {
				same := h.direct[code<<(directBits-bits) : (code+1)<<(directBits-bits)]
				for i := range same {
					same[i] = s
				}
			}
			code++
			n++
		}
		h.limit[bits] = uint32(code) << (codeBits - bits)
	}
	return n, n > 0
}

// search returns the step of a code that direct does not have, by the next
// codeBits bits, and 0 if there is none.
func (h *huffman) search(next uint32) step {
	for bits := directBits + 1; bits <= codeBits; bits++ {
		if next < h.limit[bits] {
			return h.steps[h.offset[bits]+int(next>>(codeBits-bits))]
		}
	}
	return 0
}

// minBits are more than a step needs, and leave room for four bytes.
const minBits = 32

// bitReader reads the bits of a scan (F.2.2.5). The next bit is the highest of
// buffer. Below the bits that count there may be more that are read again.
type bitReader struct {
	data   []byte // from the scan on
	pos    int    // of the next byte in data
	buffer uint64
	bits   int // of buffer; below 0 once more were used than there are
}

// block reads a block and reports whether its codes are right. One that uses more
// bits than there are may pass, but not what comes after it, nor end.
func (r *bitReader) block(dc, ac *huffman) bool {
	buffer, bits := r.buffer, r.bits
	k := 0
	for h := dc; k < blockSize; h = ac {
		if bits < minBits {
			if bits < 0 {
				return false
			}
			buffer, bits = r.fill(buffer, bits)
		}
		s := h.direct[buffer>>(64-directBits)]
		if s == 0 {
			if s = h.search(uint32(buffer >> (64 - codeBits))); s == 0 {
				return false
			}
		}
		buffer <<= s & 63
		bits -= int(s & 63)
		k += int(s >> 8)
	}
	r.buffer, r.bits = buffer, bits
	return k == blockSize || k > blockEnd
}

// fill reads bytes into the buffer until there are minBits bits or the next
// bytes are a marker. Bits must be 0 or more, and below minBits.
func (r *bitReader) fill(buffer uint64, bits int) (uint64, int) {
	if len(r.data)-r.pos >= 8 {
		next := binary.BigEndian.Uint64(r.data[r.pos:])
		const low, high = 0x0101010101010101, 0x8080808080808080
		if (^next-low)&next&high == 0 { // no byte is 0xFF
			taken := (63 - bits) >> 3
			r.pos += taken
			return buffer | next>>(bits&63), bits + 8*taken
		}
	}
	for bits <= 64-8 && r.pos < len(r.data) {
		b := r.data[r.pos]
		if b == 0xFF {
			if r.pos+1 == len(r.data) || r.data[r.pos+1] != 0 {
				break
			}
			r.pos++
		}
		r.pos++
		buffer |= uint64(b) << (64 - 8 - bits)
		bits += 8
	}
	return buffer, bits
}

// end reports whether all bytes up to a marker have been used, and no more. The
// last may have bits left over.
func (r *bitReader) end() bool {
	return r.bits >= 0 && r.bits < 8
}

// restart goes on behind a marker, if that comes next.
func (r *bitReader) restart(marker byte) bool {
	if !r.end() || len(r.data)-r.pos < 2 || r.data[r.pos] != 0xFF || r.data[r.pos+1] != marker {
		return false
	}
	*r = bitReader{data: r.data, pos: r.pos + 2}
	return true
}
