package dockerfile

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	file, err := Parse(strings.NewReader("# escape=`\nfrom --platform=linux/arm64 node:24 `\n  AS app\nENV A=b C=\"d e\"\nRUN <<EOT\nx\nEOT\nENTRYPOINT [\"/app\", \"$A\"]\nCMD a  b\n"))
	if err != nil || file.Escape != '`' {
		t.Fatalf("%+v, %v", file, err)
	}
	var got []string
	for _, i := range file.Instructions {
		got = append(got, fmt.Sprintf("%d %s %q %q list=%t here=%t %q", i.Line, i.Name, i.Flags, i.Words, i.List, i.HereDocument, i.Text))
	}
	want := []string{
		`2 FROM ["--platform=linux/arm64"] ["node:24" "AS" "app"] list=false here=false "from --platform=linux/arm64 node:24   AS app"`,
		`4 ENV [] ["A" "b" "=" "C" "\"d e\"" "="] list=false here=false "ENV A=b C=\"d e\""`,
		`5 RUN [] ["<<EOT"] list=false here=true "RUN <<EOT"`,
		`8 ENTRYPOINT [] ["/app" "$A"] list=true here=false "ENTRYPOINT [\"/app\", \"$A\"]"`,
		`9 CMD [] ["a  b"] list=false here=false "CMD a  b"`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
