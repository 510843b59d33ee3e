package cloudfront

import "strings"

// matches says whether a pattern is that of a whole path. In a pattern * stands for any text, / included, and ? for one
// character. Case counts.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html#DownloadDistValuesPathPattern
func matches(pattern, path string) bool {
	star, from := -1, 0
	at := 0
	for i := 0; i < len(path); {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			star, from = at, i
			at++
		case at < len(pattern) && (pattern[at] == '?' || pattern[at] == path[i]):
			at++
			i++
		case star >= 0:
			from++
			at, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[at:], "*") == ""
}

// normalized is the path that patterns are compared with: without dot segments, and with unreserved characters as they
// are. The origin gets the path as the viewer sent it.
// "CloudFront normalizes URI paths consistent with RFC 3986", on the page of the pattern.
func normalized(path string) string {
	if strings.Contains(path, "%") {
		var b strings.Builder
		for i := 0; i < len(path); i++ {
			if c, ok := unreserved(path[i:]); ok {
				b.WriteByte(c)
				i += 2
			} else {
				b.WriteByte(path[i])
			}
		}
		path = b.String()
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	segments := strings.Split(path, "/")
	for i, segment := range segments[1:] {
		last := i == len(segments)-2
		switch segment {
		case ".", "..":
			if segment == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// unreserved is the character of an escape at the beginning of a text, if it needs no escape.
func unreserved(text string) (byte, bool) {
	if len(text) < 3 || text[0] != '%' {
		return 0, false
	}
	high, low := strings.IndexByte(digits, text[1]|0x20), strings.IndexByte(digits, text[2]|0x20)
	if high < 0 || low < 0 {
		return 0, false
	}
	c := byte(high<<4 | low)
	letter := c|0x20 >= 'a' && c|0x20 <= 'z'
	return c, letter || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

const digits = "0123456789abcdef"
