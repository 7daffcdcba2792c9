package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/threadcast/threadcast/internal/config"
)

func (p *program) configCommand() *cobra.Command {
	inForce := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration that is in force, defaults and environment included",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.loadAndWarn()
			if err != nil {
				return err
			}
			return cfg.Print(p.stdout)
		},
	}
	var least bool
	example := &cobra.Command{
		Use:   "example",
		Short: "Print a configuration with every key, what it is for and its default",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text := config.Example
			if least {
				text = config.Starter
			}
			if _, err := io.WriteString(p.stdout, text); err != nil {
				return fmt.Errorf("print the example: %w", err)
			}
			return nil
		},
	}
	example.Flags().BoolVar(&least, "least", false, "only what must be there")
	return group("config", "The configuration itself", inForce, example)
}
