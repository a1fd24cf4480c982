package face

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"facestream/internal/testkit"
	"facestream/internal/testkit/testmodels"
	"facestream/transforms/frame"
)

// TestSettingsRoundTrip sends every preset through a ledger and back.
func TestSettingsRoundTrip(t *testing.T) {
	files := testkit.Value(InstalledFiles())(t)
	cfg := frame.Config{Width: 320, Height: 240, KeepBytes: 7}
	sums := map[string]bool{}
	all := presetParams(t)
	all["centerface"] = anyNetwork(t)
	files = append(files, testmodels.Shared(t, "models/*.onnx")...)
	for name, p := range all {
		o := Output{Crops: true, Events: true, CropMargin: 0.3, Detector: name}
		s := testkit.Value(SettingsOf(cfg, p, o))(t)
		data, sum, err := s.JSON()
		testkit.Must(t, err)
		sums[sum] = true
		var read Settings
		testkit.Must(t, json.Unmarshal(data, &read))
		o.SettingsSHA256 = sum
		gotCfg, gotParams, gotOutput, err := read.Parts(files)
		if err != nil || gotCfg != cfg || !reflect.DeepEqual(gotParams, p) || gotOutput != o {
			t.Errorf("%s: got %v, %v, %v, want %v, %v; or other parameters", name, err, gotCfg, gotOutput, cfg, o)
		}
	}
	testkit.Equal(t, "different settings", len(sums), len(all))
}

// TestOldSettings reads those of a ledger from before there were presets: their
// SHA-256 is in events, and may not change.
func TestOldSettings(t *testing.T) {
	const old = `{"frame_width":640,"frame_height":480,"keep_bytes":0,"scale_factor":1.1,"min_neighbors":3,"min_face":0,` +
		`"cascade_sha256":"6281df13459cfe218ff057b02b2ae3859b12ff14a93ffe8952f7b33fad7b9697","write":"frame,events","crop_margin":0}`
	var s Settings
	testkit.Must(t, json.Unmarshal([]byte(old), &s))
	data, _, err := s.JSON()
	if err != nil || string(data) != old {
		t.Errorf("got %s, %v, want %s", data, err, old)
	}
	now := testkit.Value(SettingsOf(frame.Config{}, defaultParams(t), Output{}))(t)
	s.CascadeSHA256 = now.CascadeSHA256
	_, p, o, err := s.Parts([]string{mustCascade(t)})
	if err != nil || !reflect.DeepEqual(p, defaultParams(t)) || o.Detector != "" {
		t.Errorf("got %v, %q, or other parameters than the defaults", err, o.Detector)
	}
}

func TestPartsRefuses(t *testing.T) {
	all := presetParams(t)
	s := testkit.Value(SettingsOf(frame.Config{}, all["everything"], Output{Events: true}))(t)
	files := testkit.Value(InstalledFiles())(t)
	for _, tt := range []struct {
		files []string
		want  string
	}{
		{nil, s.CascadeSHA256},
		{[]string{mustCascade(t)}, s.CascadeSHA256},
		{files[:len(files)-1], s.ProfileSHA256},
		{[]string{filepath.Join(t.TempDir(), "missing.xml")}, "missing.xml"},
	} {
		_, _, _, err := s.Parts(tt.files)
		testkit.Says(t, fmt.Sprint(tt.files), err, tt.want)
	}
}
