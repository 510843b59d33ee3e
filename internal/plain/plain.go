// Package plain writes names and texts of an assembly, which may be somebody else's, so that they
// stay text: on a terminal, in Markdown on GitHub, and in HTML.
package plain

import (
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns a text whose control characters are written out, as in \x1b. It keeps line ends
// and tabs. Characters that change the direction of the text, and bytes that are not UTF-8, are
// written out as well.
func Visible(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[i]), 16))
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r == 0x7f:
			b.WriteString(`\u007f`) // JSON takes this, too
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029':
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Cells returns the rows of a table with each cell as [Markdown].
func Cells(rows [][]string) [][]string {
	cells := make([][]string, len(rows))
	for i, row := range rows {
		for _, cell := range row {
			cells[i] = append(cells[i], Markdown(cell))
		}
	}
	return cells
}

// Line returns a visible text on one line, without tabs.
func Line(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(Visible(text))
}

// references are what GitHub turns into a link, or into a message to somebody, in any text that is
// not code: mentions, issues, and addresses.
// https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
var references = regexp.MustCompile(`@|#\d|(?i:\bgh-\d)|://|(?i:www\.)`)

// unlinked has a space of no width in each reference.
func unlinked(text string) string {
	return references.ReplaceAllStringFunc(text, func(found string) string {
		end := 1
		if strings.EqualFold(found[:1], "g") || strings.EqualFold(found[:1], "w") {
			end = len(found) - 2
			if found[len(found)-1] == '.' {
				end = len(found) - 1
			}
		}
		return found[:end] + "\u200b" + found[end:]
	})
}

// markup are the characters that begin something in Markdown.
var markup = regexp.MustCompile("[\\\\`*_\\[\\]<>&|~#!]")

var mathematics = regexp.MustCompile(`\$[^ ]`)

// money keeps dollar signs apart, as in ${A}-${B}: GitHub takes what is between two for mathematics,
// and a backslash does not help. Nothing begins with one before a space or the end, as in US$.
// https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/writing-mathematical-expressions
func money(text string) string {
	if !mathematics.MatchString(text) {
		return text
	}
	return strings.ReplaceAll(text, "$", "<span>$</span>")
}

// Markdown returns a text on one line, for a sentence or a cell of a table. GitHub shows the text as
// it is, and notifies nobody.
func Markdown(text string) string {
	return money(unlinked(markup.ReplaceAllString(Line(text), `\$0`)))
}

// Code returns a text as code in a sentence or a cell of a table; an empty text stays empty. GitHub
// interprets nothing in code, and notifies nobody. Lines are joined with "; ".
func Code(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", "; ")), " ")
	// In a table, a backslash would escape the one before the bar.
	text = strings.NewReplacer("`", "'", `\|`, "\\\u200b\\|", "|", `\|`).Replace(Line(text))
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// Fenced returns lines of text as a block of code.
func Fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(Visible(text), "\n") + "\n" + fence + "\n"
}

// HTML returns a text on one line for HTML within Markdown.
func HTML(text string) string { return money(html.EscapeString(unlinked(Line(text)))) }
