package config

import (
	"flag"
	"fmt"
	"time"

	"facestream/transforms/face"
	"facestream/transforms/frame"
)

// samplingFlags are the flags that leave out frames and pictures.
type samplingFlags struct{ cooldown time.Duration }

func (v *samplingFlags) add(f *flag.FlagSet, o *Options) {
	f.Float64Var(&o.Sampling.Frames.MaxFPS, "max_fps", 0, "The most `FRAMES` a second of one camera to look at, by the records' timestamps; may be a part of one, such as 0.2. A record whose timestamp is no time from 2000 to 2100 is always looked at. Default: all.")
	f.DurationVar(&v.cooldown, "cooldown", 0, "Of each `TIME`, by the records' timestamps, store a camera's faces once: later frames whose faces are all where a stored one is are only counted. A record whose timestamp is no time from 2000 to 2100 is always stored. Default: all are stored.")
}

func (v *samplingFlags) check(o *Options) error {
	// NaN is neither.
	if fps := o.Sampling.Frames.MaxFPS; !(fps >= 0 && fps <= frame.MaxMaxFPS) {
		return fmt.Errorf("--max_fps=%v: it must be above 0 and at most %d, or 0 for all frames", fps, frame.MaxMaxFPS)
	}
	if v.cooldown != 0 && (v.cooldown < face.MinCooldown || v.cooldown > face.MaxCooldown || v.cooldown%time.Millisecond != 0) {
		return fmt.Errorf("--cooldown=%s: it must be from %s to %s in whole milliseconds, or 0 to store every frame with a face",
			v.cooldown, face.MinCooldown, face.MaxCooldown)
	}
	o.Sampling.CooldownMillis = v.cooldown.Milliseconds()
	return nil
}
