package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/pipeline"
)

func (p *program) checkCommand() *cobra.Command {
	var offline, asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check configuration, token, HubSpot, Kafka, topics and state, a line each",
		Long: "check tries all that a run needs and prints a line for each finding: ok, warn or FAIL, and what to do about\n" +
			"it. It changes nothing: at most three GETs an account, no record, topic or state is written. Beside a running\n" +
			"service the state is reported as in use. The exit code is that of the first failure.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.check(cmd.Context(), offline, asJSON) },
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "check the configuration alone: no file beside it, no connection")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each finding as a JSON object on a line of its own")
	return cmd
}

// check prints the findings as they come.
func (p *program) check(ctx context.Context, offline, asJSON bool) error {
	list := &findings{out: p.stdout, json: asJSON}
	cfg, warnings, err := p.load()
	for _, warning := range warnings {
		list.add(pipeline.Finding{What: "configuration", Detail: warning.String(), Warning: true})
	}
	if err != nil {
		return list.wrong(p.stderr, err)
	}
	list.add(pipeline.Finding{What: "configuration", Detail: described(cfg)})
	if !offline {
		pipeline.Check(ctx, cfg, pipeline.CheckOptions{Version: p.version().Version}, list.add)
	}
	return list.result(p.stderr)
}

func described(cfg *config.Config) string {
	var labels []string
	for _, account := range cfg.Accounts {
		labels = append(labels, account.Label)
	}
	return fmt.Sprintf("%s, accounts: %s", cmp.Or(cfg.File, "environment alone"), strings.Join(labels, ", "))
}

// findings are printed one by one.
type findings struct {
	out    io.Writer
	json   bool
	count  int
	failed int
	code   int   // of the first failure
	broken error // of the output
}

// wrong prints what is wrong with the configuration, each problem on its own.
func (l *findings) wrong(stderr io.Writer, err error) error {
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		return err
	}
	for _, problem := range wrong.Problems {
		remedy := ""
		if problem.Want != "" {
			remedy = "write " + problem.Want
		}
		problem.Want = ""
		l.add(pipeline.Finding{What: "configuration", Err: errors.New(problem.String()), Remedy: remedy, Code: wrong.ExitCode()})
	}
	return l.result(stderr)
}

// add prints a finding.
func (l *findings) add(f pipeline.Finding) {
	l.count++
	if f.Err != nil {
		l.failed++
		if l.code == 0 {
			l.code = cmp.Or(f.Code, pipeline.CodeOther)
		}
	}
	line := plainFinding(f)
	if l.json {
		line = jsonFinding(f)
	}
	if _, err := io.WriteString(l.out, line+"\n"); err != nil && l.broken == nil {
		l.broken = fmt.Errorf("print a finding: %w", err)
	}
}

// result is the exit code of the first failure.
func (l *findings) result(stderr io.Writer) error {
	if l.broken != nil || l.failed == 0 {
		return l.broken
	}
	fmt.Fprintf(stderr, "threadcast: %d of %d findings are failures\n", l.failed, l.count)
	return &saidError{l.code}
}

func verdict(f pipeline.Finding) string {
	switch {
	case f.Err != nil:
		return "FAIL"
	case f.Warning:
		return "warn"
	}
	return "ok"
}

// plainFinding is a finding for people. Lines of a longer text are indented, so that
// each finding begins with its verdict.
func plainFinding(f pipeline.Finding) string {
	text := f.Detail
	if f.Err != nil {
		text = f.Err.Error()
	}
	if f.Remedy != "" && !strings.Contains(text, f.Remedy) {
		text += "\nremedy: " + f.Remedy
	}
	what := f.What
	if f.Account != "" {
		what = f.Account + " " + f.What
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if i > 0 && line != "" {
			lines[i] = "      " + line
		}
	}
	return fmt.Sprintf("%-4s  %s: %s", verdict(f), what, strings.Join(lines, "\n"))
}

// jsonFinding is a finding for machines.
func jsonFinding(f pipeline.Finding) string {
	line := struct {
		Verdict string `json:"verdict"`
		Account string `json:"account,omitempty"`
		What    string `json:"what"`
		Detail  string `json:"detail,omitempty"`
		Error   string `json:"error,omitempty"`
		Remedy  string `json:"remedy,omitempty"`
		Code    int    `json:"code,omitempty"`
	}{Verdict: strings.ToLower(verdict(f)), Account: f.Account, What: f.What, Detail: f.Detail, Remedy: f.Remedy, Code: f.Code}
	if f.Err != nil {
		line.Error = f.Err.Error()
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic("a struct of strings does not marshal: " + err.Error())
	}
	return string(text)
}
