package stacks_test

import (
	"os"
	"testing"

	"cutover/deployment"
)

// TestAssetTimes: what goes into an image says the same about when it was made,
// whoever synthesizes.
func TestAssetTimes(t *testing.T) {
	a := synth(t, nil)
	files := 0
	for _, stack := range a.Stacks {
		for _, image := range stack.Images {
			equal(t, stack.Name+"'s build arguments", map[string]string{"SOURCE_DATE_EPOCH": "0"}, image.BuildArgs)
			entries, err := os.ReadDir(image.Directory)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				info, err := entry.Info()
				if err != nil {
					t.Fatal(err)
				}
				files++
				if info.ModTime().Unix() != 0 {
					t.Errorf("%s of %s was made at %s", entry.Name(), stack.Name, info.ModTime())
				}
			}
		}
	}
	equal(t, "files of all images: a binary and a Dockerfile for each", 2*len(deployment.Forum.All()), files)
}
