package rules

import "strings"

// Normalize is the path that path patterns are compared with. AWS evaluates rules after URI
// normalization
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html#path-conditions).
// The page does not say which. This is the normalization of RFC 3986, sections 6.2.2.2 and 6.2.2.3:
// unreserved characters are decoded, and then the segments "." and ".." are resolved. All else stays:
// an empty segment, a "%2F" and other reserved characters. What AWS makes of them is not known.
func Normalize(path string) string {
	if !strings.HasPrefix(path, "/") || !strings.Contains(path, "%") && !strings.Contains(path, "/.") {
		return path
	}
	path = decodeUnreserved(path)
	if !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(path[1:], "/")
	kept := segments[:0]
	for i, segment := range segments {
		if segment != "." && segment != ".." {
			kept = append(kept, segment)
			continue
		}
		if segment == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		if i == len(segments)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// decodeUnreserved decodes the characters that mean the same with and without an encoding.
func decodeUnreserved(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			if decoded := decode(path[i : i+3]); len(decoded) == 1 && unreserved(decoded[0]) {
				c = decoded[0]
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
