package main

import (
	"cmp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/pipeline"
)

func (p *program) stateCommand() *cobra.Command {
	check := &cobra.Command{
		Use:   "check [LABEL]...",
		Short: "Prove that the states are sound, or say what is wrong with them",
		Long: "check reads the whole state of each account and proves that it is what was written: checksums, counts, and\n" +
			"that nothing is missing. It must not be in use. The exit code is that of the first failure: 74 for a state\n" +
			"that is corrupt or missing, 75 for one that is in use.",
		RunE: func(cmd *cobra.Command, labels []string) error { return p.checkStates(cmd, labels) },
	}
	return group("state", "State files of the accounts", check)
}

// checkStates checks the states of the accounts named, or of all.
func (p *program) checkStates(cmd *cobra.Command, labels []string) error {
	cfg, err := p.loadAndWarn()
	if err != nil {
		return err
	}
	known := func(label string) bool {
		return slices.ContainsFunc(cfg.Accounts, func(a config.Account) bool { return a.Label == label })
	}
	for _, label := range labels {
		if !known(label) {
			return usage(cmd, "the configuration has no account %q", label)
		}
	}
	list := &findings{out: p.stdout}
	for _, account := range cfg.Accounts {
		if len(labels) > 0 && !slices.Contains(labels, account.Label) {
			continue
		}
		detail, err := pipeline.CheckState(cfg, account.Label)
		list.add(pipeline.Finding{
			Account: account.Label, What: "state", Detail: detail, Err: err, Code: cmp.Or(pipeline.ExitCode(err), pipeline.CodeOther),
		})
	}
	return list.result(p.stderr)
}
