package face

import (
	"fmt"
	"image"
	"math"
)

// decodeYuNet1 reads the YuNet of 2022: Feng, Yu, Peng, Li, Zhang, "Detect Faces
// Efficiently: A Survey and Evaluations", IEEE T-BIOM 2022. The cells of a map have up to
// three anchors, which are squares. For each there are, in this order: in conf what it is
// (no face, a face), in iou how well its box fits, in loc the box (centre, then the logarithms
// of the sides) and the points, relative to the anchor.
func decodeYuNet1(out tensors, canvas image.Point, minScore float64) (found []candidate, err error) {
	const centreVariance, sizeVariance = 0.1, 0.2
	anchors := []struct {
		stride int
		sides  []float64
	}{{8, []float64{10, 16, 24}}, {16, []float64{32, 48}}, {32, []float64{64, 96}}, {64, []float64{128, 192, 256}}}
	total := 0
	for _, a := range anchors {
		total += canvas.X / a.stride * (canvas.Y / a.stride) * len(a.sides)
	}
	conf, err := out.of("conf", 2*total)
	if err != nil {
		return nil, err
	}
	iou, err := out.of("iou", total)
	if err != nil {
		return nil, err
	}
	loc, err := out.of("loc", 14*total)
	if err != nil {
		return nil, err
	}
	i := 0
	for _, a := range anchors {
		for row := range canvas.Y / a.stride {
			for column := range canvas.X / a.stride {
				for _, side := range a.sides {
					if score := mean(conf[2*i+1], iou[i]); score >= minScore {
						l := loc[14*i:]
						x, y := (float64(column)+0.5)*float64(a.stride), (float64(row)+0.5)*float64(a.stride)
						at := func(i int) (float64, float64) {
							return x + float64(l[i])*centreVariance*side, y + float64(l[i+1])*centreVariance*side
						}
						c := candidate{score: score, width: side * math.Exp(sizeVariance*float64(l[2])), height: side * math.Exp(sizeVariance*float64(l[3]))}
						c.x, c.y = at(0)
						for i := range c.points {
							c.points[i][0], c.points[i][1] = at(4 + 2*i)
						}
						found = append(found, c)
					}
					i++
				}
			}
		}
	}
	return found, nil
}

// decodeYuNet2 reads the YuNet of 2023, which has no anchors: Wu, Peng, Yu, "YuNet: A Tiny
// Millisecond-level Face Detector", Machine Intelligence Research 2023. For each cell of the
// maps of three strides there are: in cls and obj the two parts of its score, in bbox the
// centre from the cell on and the logarithms of the sides, in kps the points from the cell
// on, all in strides.
func decodeYuNet2(out tensors, canvas image.Point, minScore float64) (found []candidate, err error) {
	for _, stride := range []int{8, 16, 32} {
		columns, cells := canvas.X/stride, canvas.X/stride*(canvas.Y/stride)
		var parts [4][]float32
		for i, part := range []struct {
			name string
			size int
		}{{"cls", 1}, {"obj", 1}, {"bbox", 4}, {"kps", 10}} {
			if parts[i], err = out.of(fmt.Sprintf("%s_%d", part.name, stride), part.size*cells); err != nil {
				return nil, err
			}
		}
		for i := range cells {
			score := mean(parts[0][i], parts[1][i])
			if !(score >= minScore) {
				continue
			}
			at := func(x, y float32) (float64, float64) {
				return (float64(i%columns) + float64(x)) * float64(stride), (float64(i/columns) + float64(y)) * float64(stride)
			}
			b, k := parts[2][4*i:], parts[3][10*i:]
			c := candidate{score: score, width: math.Exp(float64(b[2])) * float64(stride), height: math.Exp(float64(b[3])) * float64(stride)}
			c.x, c.y = at(b[0], b[1])
			for i := range c.points {
				c.points[i][0], c.points[i][1] = at(k[2*i], k[2*i+1])
			}
			found = append(found, c)
		}
	}
	return found, nil
}

// mean is the geometric mean of two parts of a score, which may be a little beyond 0 or 1.
func mean(a, b float32) float64 {
	return math.Sqrt(float64(max(0, min(a, 1)) * max(0, min(b, 1))))
}

// decodeCenterFace reads CenterFace: Xu, Yan, Sun, Yang, Luo, "CenterFace: Joint Face
// Detection and Alignment Using Face as Point", 2019. Its outputs are maps of stride 4, of
// which the vertical one comes first where there are two: 537 is the score of a face's
// centre, 538 the logarithms of the sides, 539 where in the cell the centre is, 540 the
// points in parts of the box.
func decodeCenterFace(out tensors, canvas image.Point, minScore float64) (found []candidate, err error) {
	const stride = 4
	columns, cells := canvas.X/stride, canvas.X/stride*(canvas.Y/stride)
	var maps [4][]float32
	for i, depth := range []int{1, 2, 2, 10} {
		if maps[i], err = out.of(fmt.Sprint(537+i), depth*cells); err != nil {
			return nil, err
		}
	}
	for i, score := range maps[0] {
		if !(float64(score) >= minScore) {
			continue
		}
		value := func(of, depth int) float64 { return float64(maps[of][depth*cells+i]) }
		c := candidate{
			score: float64(score),
			width: stride * math.Exp(value(1, 1)), height: stride * math.Exp(value(1, 0)),
			x: stride * (float64(i%columns) + value(2, 1) + 0.5), y: stride * (float64(i/columns) + value(2, 0) + 0.5),
		}
		for i := range c.points {
			c.points[i] = [2]float64{c.x + (value(3, 2*i+1)-0.5)*c.width, c.y + (value(3, 2*i)-0.5)*c.height}
		}
		found = append(found, c)
	}
	return found, nil
}
