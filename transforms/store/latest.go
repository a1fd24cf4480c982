package store

import (
	"context"
	"fmt"
)

// latestFile is a copy of the latest picture, below the root.
const latestFile = "face.jpg"

// KeepLatest makes <root>/face.jpg a copy of a picture that is stored, in one
// step.
func KeepLatest(ctx context.Context, cfg Config, picture string) error {
	data, err := cfg.read(ctx, picture)
	if err == nil {
		err = cfg.put(ctx, latestFile, data)
	}
	if err != nil {
		return fmt.Errorf("keeping the latest picture: %w", err)
	}
	return nil
}
