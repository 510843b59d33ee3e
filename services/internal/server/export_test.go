package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"time"
)

// Serve serves the modules on the listener, as a service does, for tests that
// need the services' own modules.
func Serve(ctx context.Context, listener net.Listener, stdout io.Writer, modules ...Module) error {
	router, err := newRouter(modules...)
	if err != nil {
		return err
	}
	return serve(ctx, listener, router, newLogger(stdout, slog.LevelInfo, "test"), nil, time.Second)
}
