package server

import (
	"context"
	"errors"
	"io"
)

// Seed writes the first records of the modules, as the command seed does. It is for a test with modules of its own.
func Seed(ctx context.Context, stdout io.Writer, modules ...Module) error {
	router, err := newRouter(modules...)
	if err != nil {
		return err
	}
	return errors.Join(router.seed(ctx, stdout), router.stop())
}
