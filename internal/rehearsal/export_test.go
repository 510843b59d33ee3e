package rehearsal

import "time"

// TryFor sets how long the load is tried before the walk.
func (o *Options) TryFor(d time.Duration) { o.trial = d }
