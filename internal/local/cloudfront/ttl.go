package cloudfront

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"cutover/internal/model"
)

// directives are those of the Cache-Control of an answer.
type directives struct {
	// forbids is one of no-cache, no-store and private, and hides one of the last two.
	forbids, hides bool
	// age is s-maxage, or else max-age; -1 without both.
	age time.Duration
}

func cacheControl(header http.Header) directives {
	d := directives{age: -1}
	shared := false
	for _, line := range header["Cache-Control"] {
		for one := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
			seconds, err := strconv.Atoi(strings.Trim(value, `"`))
			switch name = strings.ToLower(name); {
			case name == "no-cache", name == "no-store", name == "private":
				d.forbids, d.hides = true, d.hides || name != "no-cache"
			case name == "s-maxage" && err == nil:
				d.age, shared = time.Duration(seconds)*time.Second, true
			case name == "max-age" && err == nil && !shared:
				d.age = time.Duration(seconds) * time.Second
			}
		}
	}
	return d
}

// lifetime is how long the cache keeps an answer that is no error.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html#ExpirationDownloadDist
func lifetime(c *model.CachePolicy, header http.Header, now time.Time) time.Duration {
	within := func(d time.Duration) time.Duration { return max(c.MinTTL, min(d, c.MaxTTL)) }
	d := cacheControl(header)
	switch {
	case !c.Keeps():
		return 0
	case d.forbids, header.Get("Vary") == "*" && c.MinTTL == 0:
		return c.MinTTL
	case d.age >= 0:
		return within(d.age)
	case header.Get("Expires") != "":
		expires, err := http.ParseTime(header.Get("Expires"))
		if err != nil {
			return c.MinTTL // in the past
		}
		return within(max(0, expires.Sub(now)))
	}
	return max(c.MinTTL, c.TTL)
}

// revalidates says whether an answer that is not fresh for any time is kept, to ask the origin whether it has changed.
func revalidates(c *model.CachePolicy, header http.Header) bool {
	return c.Keeps() && !cacheControl(header).hides && header.Get("Vary") != "*" && (header.Get("ETag") != "" || header.Get("Last-Modified") != "")
}

// Statuses of origins that are kept always, and those that are kept if the answer says for how long.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html#HTTPStatusCodes-cached-errors
var (
	keptErrors   = []int{404, 405, 414, 500, 501, 502, 503, 504}
	keptIfAsked  = []int{400, 403, 412, 415}
	keptStatuses = []int{200, 203, 204, 300, 301, 302, 303, 307, 308}
)

// errorLifetime is how long the cache keeps an error of an origin, whatever the cache policy says.
func errorLifetime(responses []model.ErrorResponse, status int, header http.Header) time.Duration {
	least := model.DefaultErrorTTL
	if i := slices.IndexFunc(responses, func(e model.ErrorResponse) bool { return e.Code == status }); i >= 0 {
		least = responses[i].TTL
	}
	age := cacheControl(header).age
	if slices.Contains(keptErrors, status) || slices.Contains(keptIfAsked, status) && age >= 0 {
		return max(least, age)
	}
	return 0
}
