package build

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Time is when every image and every file in it was made, as far as their bytes
// say, so that the same source gives the same image: the files because of
// [SetTimes], the image because the build argument TimeArgument tells BuildKit
// (https://reproducible-builds.org/docs/source-date-epoch/). Docker's older
// builder heeds the times of the files alone.
var Time = time.Unix(0, 0)

// TimeArgument is the build argument that has Time in seconds.
const TimeArgument = "SOURCE_DATE_EPOCH"

// SetTimes gives every file of the assets in an assembly's directory the time
// [Time]. CDK copies the build contexts there with the time of the copying, which
// a Dockerfile's COPY hands on to the image.
func SetTimes(assembly string) error {
	assets, err := filepath.Glob(filepath.Join(assembly, "asset.*"))
	if err != nil {
		return fmt.Errorf("images: %s: %w", assembly, err)
	}
	for _, asset := range assets {
		err := filepath.WalkDir(asset, func(file string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chtimes(file, Time, Time)
		})
		if err != nil {
			return fmt.Errorf("images: the times of %s cannot be set: %w", asset, err)
		}
	}
	return nil
}
