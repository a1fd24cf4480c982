package config

import (
	"flag"
	"fmt"
	"time"

	"facestream/transforms/face"
	"facestream/transforms/frame"
)

// samplingFlags are the flags that leave out frames and pictures.
type samplingFlags struct {
	maxFPS   float64
	cooldown time.Duration
}

func (v *samplingFlags) add(f *flag.FlagSet) {
	f.Float64Var(&v.maxFPS, "max_fps", 0, "The most `FRAMES` a second of one camera to look at, by the records' timestamps; may be a part of one, such as 0.2. A record whose timestamp is no time from 2000 to 2100 is always looked at. Default: all.")
	f.DurationVar(&v.cooldown, "cooldown", 0, "Of each `TIME`, by the records' timestamps, store a camera's faces once: later frames whose faces are all where a stored one is are only counted. A record whose timestamp is no time from 2000 to 2100 is always stored. Default: all are stored.")
}

func (v *samplingFlags) check() (face.Sampling, error) {
	// NaN is neither.
	if !(v.maxFPS >= 0 && v.maxFPS <= frame.MaxMaxFPS) {
		return face.Sampling{}, fmt.Errorf("--max_fps=%v: it must be above 0 and at most %d, or 0 for all frames", v.maxFPS, frame.MaxMaxFPS)
	}
	if v.cooldown != 0 && (v.cooldown < face.MinCooldown || v.cooldown > face.MaxCooldown || v.cooldown%time.Millisecond != 0) {
		return face.Sampling{}, fmt.Errorf("--cooldown=%s: it must be from %s to %s in whole milliseconds, or 0 to store every frame with a face",
			v.cooldown, face.MinCooldown, face.MaxCooldown)
	}
	return face.Sampling{Frames: frame.Sampling{MaxFPS: v.maxFPS}, CooldownMillis: v.cooldown.Milliseconds()}, nil
}
