package store

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

// latestFile is a copy of the latest picture, below the root.
const latestFile = "face.jpg"

// KeepLatest makes <root>/face.jpg a copy of a picture that is stored, in one
// step.
func KeepLatest(ctx context.Context, cfg Config, picture string) error {
	fsys, err := filesystem.New(ctx, cfg.Root)
	if err != nil {
		return err
	}
	defer fsys.Close()
	data, err := filesystem.Read(ctx, fsys, join(cfg.Root, picture))
	if err == nil {
		err = put(ctx, fsys, cfg, latestFile, data)
	}
	if err != nil {
		return fmt.Errorf("keeping the latest picture: %w", err)
	}
	return nil
}
