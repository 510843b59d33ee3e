// Comment puts a file below a pull request on GitHub as a comment. The next run
// updates the comment in place.
//
// The program has a token with write access, and its input comes from a pull
// request's own code. So it does little, and needs only the standard library. Its
// comment notifies nobody, whatever the file says.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

const usage = `Usage: comment -pr NUMBER FILE

Puts a file below a pull request as a comment, or updates the comment of an
earlier run. Both begin with the same line, a hidden marker such as
<!-- cutover review -->.

  -pr      number of the pull request
  -author  author of the comment to update (default github-actions[bot])

Environment: GITHUB_REPOSITORY (OWNER/NAME), GITHUB_TOKEN, and GITHUB_API_URL
(default https://api.github.com).
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "comment: %v\n", err)
		os.Exit(1)
	}
}

// limit is the length of GitHub's longest comment in characters.
const limit = 65536

var (
	marker     = regexp.MustCompile(`^<!-- [a-z ]+ -->$`)
	repository = regexp.MustCompile(`^[\w.-]+/[\w.-]+$`)
)

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("comment", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	pr := flags.Int("pr", 0, "")
	author := flags.String("author", "github-actions[bot]", "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return nil
	case err != nil:
		return fmt.Errorf("%w\n\n%s", err, usage)
	case *pr < 1 || flags.NArg() != 1:
		return fmt.Errorf("give the number of a pull request and a file\n\n%s", usage)
	}
	g := &github{url: strings.TrimSuffix(getenv("GITHUB_API_URL"), "/"), token: getenv("GITHUB_TOKEN"), repository: getenv("GITHUB_REPOSITORY")}
	if g.url == "" {
		g.url = "https://api.github.com"
	}
	if !repository.MatchString(g.repository) {
		return fmt.Errorf("GITHUB_REPOSITORY is %q, not OWNER/NAME", g.repository)
	}
	if g.token == "" {
		return errors.New("GITHUB_TOKEN is not set: GitHub's API needs it")
	}
	text, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	body := silent(string(text))
	first, _, _ := strings.Cut(body, "\n")
	switch {
	case !marker.MatchString(first):
		return fmt.Errorf("%s does not begin with a marker like <!-- cutover review -->, so the next run could not find the comment", flags.Arg(0))
	case !utf8.Valid(text):
		return fmt.Errorf("%s is not UTF-8", flags.Arg(0))
	case utf8.RuneCountInString(body) > limit:
		return fmt.Errorf("%s has %d characters: GitHub takes at most %d", flags.Arg(0), utf8.RuneCountInString(body), limit)
	}

	id, err := g.find(ctx, *pr, first, *author)
	if err != nil {
		return err
	}
	var answer struct {
		URL string `json:"html_url"`
	}
	done := "Updated"
	if id != 0 {
		err = g.call(ctx, http.MethodPatch, fmt.Sprintf("/issues/comments/%d", id), body, &answer)
	} else {
		done = "Put"
		err = g.call(ctx, http.MethodPost, fmt.Sprintf("/issues/%d/comments", *pr), body, &answer)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s\n", done, answer.URL)
	return nil
}

// mention is what GitHub may take for a user or a team.
// https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#mentioning-people-and-teams
var mention = regexp.MustCompile(`(?i)(@|&#0*64;|&#x0*40;|&commat;)(\w)`)

// silent has a space of no width in every mention. So GitHub shows the same text,
// and notifies nobody in the name of the workflow.
func silent(text string) string { return mention.ReplaceAllString(text, "$1\u200b$2") }

// github is the API of one repository.
type github struct{ url, token, repository string }

// find returns the id of the author's first comment that begins with the marker;
// 0 if there is none. It ignores the comments of others.
// https://docs.github.com/en/rest/issues/comments#list-issue-comments
func (g *github) find(ctx context.Context, pr int, marker, author string) (int64, error) {
	const most = 100 // to a page
	for page := 1; ; page++ {
		var comments []struct {
			ID   int64
			Body string
			User struct{ Login string }
		}
		if err := g.call(ctx, http.MethodGet, fmt.Sprintf("/issues/%d/comments?per_page=%d&page=%d", pr, most, page), "", &comments); err != nil {
			return 0, err
		}
		for _, comment := range comments {
			// GitHub may have changed the line ends.
			first, _, _ := strings.Cut(comment.Body, "\n")
			if comment.User.Login == author && strings.TrimSpace(first) == marker {
				return comment.ID, nil
			}
		}
		if len(comments) < most {
			return 0, nil
		}
	}
}

// call sends a request, with a comment's body if there is one, and decodes the answer.
func (g *github) call(ctx context.Context, method, path, body string, into any) error {
	var content io.Reader
	if body != "" {
		text, err := json.Marshal(map[string]string{"body": body})
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, g.url+"/repos/"+g.repository+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+g.token)
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("%s %s: GitHub answers %s: %s", method, request.URL.Path, response.Status, bytes.TrimSpace(text))
	}
	return json.NewDecoder(response.Body).Decode(into)
}
