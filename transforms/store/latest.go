package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// Below the root, a copy of the latest picture, and which one it is.
const (
	latestFile  = "face.jpg"
	latestAbout = "_latest.json"
)

// KeepLatest makes <root>/face.jpg a copy of a picture that is stored, in one step,
// unless a run has kept a later one. Of which picture it is, <root>/_latest.json says
// before: what comes between the two is made good by the next run.
func KeepLatest(ctx context.Context, cfg Config, latest Latest) error {
	if err := keepLatest(ctx, cfg, latest); err != nil {
		return fmt.Errorf("keeping the latest picture: %w", err)
	}
	return nil
}

func keepLatest(ctx context.Context, cfg Config, latest Latest) error {
	about, err := cfg.Read(ctx, latestAbout)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var kept Latest
	if json.Unmarshal(about, &kept) == nil && latest.Before(kept) {
		return nil
	}
	picture, err := ReadPicture(ctx, cfg, latest.Picture)
	if err != nil {
		return err
	}
	if err := cfg.putJSON(ctx, latestAbout, latest, json.Marshal); err != nil {
		return err
	}
	return cfg.put(ctx, latestFile, picture)
}
