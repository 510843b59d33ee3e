package plain

import (
	"bytes"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
)

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"dev-Users, ein Ü, 漢字, 👩‍💻":    "dev-Users, ein Ü, 漢字, 👩‍💻",
		"two\n\tlines":                 "two\n\tlines",
		"\x1b[31mred\x1b[0m\a":         `\x1b[31mred\x1b[0m\a`,
		"\x1b]0;title\x07\r\x00":       `\x1b]0;title\a\r\x00`,
		"\u009b31m":                    `\u009b31m`,
		"\x9b31m \xff":                 `\x9b31m \xff`,
		"\ufffd is a character":        "\ufffd is a character",
		"\x7f\b":                       `\u007f\b`,
		"a\u202eb \u2066c\u2069\u200f": `a\u202eb \u2066c\u2069\u200f`,
		"a\u2028b":                     `a\u2028b`,
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := Line("a\nb\tc\r\n"); got != `a\nb\tc\r\n` {
		t.Errorf("%q", got)
	}
}

func TestOrdinaryNamesStay(t *testing.T) {
	for _, name := range []string{"dev-Routing", "AWS::ECS::TaskDefinition", "parallel, users=10", "parallel → switched", "1.5 (x)", "a/b:c", "ghost-1", "10 %", "US$", "US$ BEFORE"} {
		if got := Markdown(name); got != name {
			t.Errorf("%q becomes %q", name, got)
		}
		if got := HTML(name); got != name {
			t.Errorf("%q becomes %q", name, got)
		}
	}
}

// hostile are names that are more than a text to GitHub.
var hostile = []string{
	"@org/team", "a@example.com", "x #1 y", "org/repo#23", "GH-7", "https://example.com", "www.example.com", "http://a",
	"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt;", "<!-- -->", "[a](javascript:alert(1))", "![a](//example.com/x.png)",
	"**bold** _it_ ~~gone~~", "`code`", "a\n\n# Title\n\n- item", "a | b | c", "a \\| b", "end\\", "``` fence", "~~~", "$x$", "${A}-${B}", "<https://example.com>",
	"[ref]: //example.com", "\r\n@org", "|---|", "<details>", "</summary></details>",
}

// rendered is the HTML of a text on GitHub, which has these extensions.
func rendered(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe())).Convert([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var noSpan = strings.NewReplacer("<span>$</span>", "$")

// shown is the text of HTML without elements.
var shown = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&amp;", "&", "\u200b", "", "<span>", "", "</span>", "")

// Whatever a name has in it, GitHub shows a paragraph, a row of a table, or code, with the name.
func TestHostileNamesStayText(t *testing.T) {
	for _, name := range hostile {
		if got := rendered(t, "Of "+Markdown(name)+" here"); shown.Replace(got) != "<p>Of "+Line(name)+" here</p>\n" {
			t.Errorf("%q in a sentence is %s", name, got)
		}
		if got := rendered(t, "Of "+Code(name)+" here"); strings.Count(got, "<code>") != 1 || strings.Count(got, "<") != 4 {
			t.Errorf("%q as code is %s", name, got)
		}
		for _, cell := range []string{Markdown(name), Code(name)} {
			if got := rendered(t, "| a | b |\n|--|--|\n| "+cell+" | x |\n"); strings.Count(got, "<td>") != 2 || !strings.Contains(got, "<td>x</td>") || strings.Count(got, "<") > 24 {
				t.Errorf("%q in a table is %s", name, got)
			}
		}
		if got := rendered(t, Fenced("one\n"+name+"\ntwo")); strings.Count(got, "<") != 4 || !strings.HasSuffix(got, "two\n</code></pre>\n") {
			t.Errorf("%q in a block is %s", name, got)
		}
		if got := HTML(name); strings.ContainsAny(noSpan.Replace(got), "<>\n") || shown.Replace(got) != strings.ReplaceAll(Line(name), "'", "&#39;") {
			t.Errorf("%q in HTML is %s", name, got)
		}
		for _, text := range []string{Markdown(name), HTML(name)} {
			if strings.Contains(strings.ReplaceAll(text, "<span>$</span>", ""), "$") {
				t.Errorf("%q has mathematics: %q", name, text)
			}
			for _, link := range []string{"@o", "@e", "#1", "#2", "GH-7", "://", "www.e"} {
				if strings.Contains(text, link) {
					t.Errorf("%q has %q still: %q", name, link, text)
				}
			}
		}
	}
}
