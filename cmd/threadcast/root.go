package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/threadcast/threadcast/internal/config"
)

// configVariable names the configuration file where --config does not, and
// defaultFile is taken where neither does, if it is there.
const (
	configVariable = "THREADCAST_CONFIG"
	defaultFile    = "threadcast.yaml"
)

// root is the whole command line.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "threadcast",
		Short: "Changes of HubSpot conversation threads as events on Kafka",
		Long: "threadcast reads the conversation threads of HubSpot accounts, works out what changed, and publishes\n" +
			"each change once, in order, on Kafka. It only ever reads HubSpot.",
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%w", err) })
	root.PersistentFlags().StringVar(&p.file, "config", "",
		"configuration file (default $"+configVariable+", else ./"+defaultFile+" if it is there, else the environment alone)")
	root.AddCommand(p.runCommand(), p.checkCommand(), p.topicsCommand(), p.tailCommand(), p.stateCommand(), p.configCommand(), p.versionCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.Args, cmd.RunE = subcommand, incomplete
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error { return topic(root, args) }
		}
	}
	understood(root)
	return root
}

// topic refuses to help with what does not exist.
func topic(root *cobra.Command, args []string) error {
	found, rest, err := root.Find(args)
	if err == nil && len(rest) > 0 {
		err = subcommand(found, rest)
	}
	return err
}

// understood makes every wrong argument a usage error.
func understood(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var already *usageError
			if err == nil || errors.As(err, &already) {
				return err
			}
			return usage(cmd, "%w", err)
		}
	}
	for _, child := range cmd.Commands() {
		understood(child)
	}
}

// subcommand refuses arguments of a command that only has others below it.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = nearDistance
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		err = fmt.Errorf("%w, the nearest is %q", err, meant[0])
	}
	return usage(cmd, "%w", err)
}

// nearDistance is the number of letters in which what was typed may differ from what
// is suggested.
const nearDistance = 2

// incomplete is what a command says that only has others below it.
func incomplete(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, child := range cmd.Commands() {
		names = append(names, child.Name())
	}
	return usage(cmd, "%s needs a command: %s", cmd.CommandPath(), strings.Join(names, " or "))
}

// group is a command that only has others below it.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: subcommand, RunE: incomplete}
	cmd.AddCommand(children...)
	return cmd
}

// load reads the configuration.
func (p *program) load() (*config.Config, []config.Warning, error) {
	path := p.path()
	cfg, warnings, err := config.Load(path, p.environ)
	if err != nil && path == "" {
		err = fmt.Errorf("%w\nThere is no configuration file: neither --config nor $%s names one, and ./%s does not exist.\n"+
			"`threadcast config example` prints one to begin with", err, configVariable, defaultFile)
	}
	return cfg, warnings, err
}

// loadAndWarn is load with the warnings on stderr, for commands that do not log.
func (p *program) loadAndWarn() (*config.Config, error) {
	cfg, warnings, err := p.load()
	for _, warning := range warnings {
		fmt.Fprintf(p.stderr, "threadcast: warning: %s\n", warning)
	}
	return cfg, err
}

// path is the configuration file; empty if there is none.
func (p *program) path() string {
	if p.file != "" {
		return p.file
	}
	for _, variable := range p.environ {
		if path, ok := strings.CutPrefix(variable, configVariable+"="); ok && path != "" {
			return path
		}
	}
	if _, err := os.Stat(defaultFile); !errors.Is(err, fs.ErrNotExist) {
		return defaultFile
	}
	return ""
}
