package main

import (
	"context"
	"fmt"
	"log"
	"reflect"
	"slices"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configdiff"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/container"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (a *API) ApplyConfiguration(ctx context.Context, in *machine.ApplyConfigurationRequest) (*machine.ApplyConfigurationResponse, error) {
	if in.Mode != machine.ApplyConfigurationRequest_TRY {
		a.cancelTrial()
	}

	provider, err := configloader.NewFromBytes(in.GetData())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}

	if provider.RawV1Alpha1() == nil {
		return nil, status.Error(codes.InvalidArgument,
			"the applied machine configuration doesn't contain v1alpha1 config, did you mean to patch the machine config instead?")
	}

	warnings, err := provider.Validate(Mode{})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}

	more, err := provider.RuntimeValidate(ctx, a.boot.state, Mode{})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}

	mode, details, err := a.mode(in.Mode, provider)
	if err != nil {
		return nil, err
	}

	if in.DryRun {
		diff, err := configdiff.DiffToString(a.boot.config(), provider)
		if err != nil {
			return nil, fmt.Errorf("failed to generate diff: %w", err)
		}

		if diff == "" {
			diff = "No changes."
		}

		return applied(mode, nil, fmt.Sprintf("Dry run summary:\n%s (skipped in dry-run).\nConfig diff:\n\n%s", details.text, diff)), nil
	}

	log.Printf("apply config request: mode %s", mode)

	if mode == machine.ApplyConfigurationRequest_TRY {
		limit := constants.ConfigTryTimeout
		if in.TryModeTimeout != nil {
			limit = in.TryModeTimeout.AsDuration()
		}

		details.text += fmt.Sprintf("\nThe config is applied in 'try' mode and will be automatically reverted back in %s", limit)
		a.try(limit)
	} else if err := a.boot.disk.setConfig(provider); err != nil {
		return nil, err
	}

	switch mode {
	case machine.ApplyConfigurationRequest_TRY, machine.ApplyConfigurationRequest_NO_REBOOT:
		a.boot.reconfigure(provider)
	case machine.ApplyConfigurationRequest_REBOOT:
		go a.boot.sequence(newID(), "reboot", nil, reboot)
	case machine.ApplyConfigurationRequest_STAGED: // the next boot takes it
	}

	return applied(mode, slices.Concat(warnings, more), details.text+details.why), nil
}

func applied(mode machine.ApplyConfigurationRequest_Mode, warnings []string, details string) *machine.ApplyConfigurationResponse {
	return &machine.ApplyConfigurationResponse{
		Messages: []*machine.ApplyConfiguration{{Mode: mode, Warnings: warnings, ModeDetails: details}},
	}
}

// Details are what Talos says of how it applies a configuration, and why it needs a reboot.
type Details struct {
	text, why string
}

// mode decides how a configuration is applied. Talos' `auto` reboots for what it cannot change in place.
func (a *API) mode(asked machine.ApplyConfigurationRequest_Mode, provider config.Provider) (machine.ApplyConfigurationRequest_Mode, Details, error) {
	const (
		without = "Applied configuration without a reboot"
		with    = "Applied configuration with a reboot"
	)

	switch asked {
	case machine.ApplyConfigurationRequest_TRY, machine.ApplyConfigurationRequest_NO_REBOOT:
		if err := inPlace(a.boot.config(), provider); err != nil {
			return asked, Details{}, status.Error(codes.InvalidArgument, err.Error())
		}

		return asked, Details{text: without}, nil
	case machine.ApplyConfigurationRequest_STAGED:
		return asked, Details{text: "Staged configuration to be applied after the next reboot"}, nil
	case machine.ApplyConfigurationRequest_AUTO:
		if err := inPlace(a.boot.config(), provider); err != nil {
			return machine.ApplyConfigurationRequest_REBOOT, Details{with, ": " + err.Error()}, nil
		}

		return machine.ApplyConfigurationRequest_NO_REBOOT, Details{text: without}, nil
	case machine.ApplyConfigurationRequest_REBOOT:
		return asked, Details{text: with}, nil
	}

	return asked, Details{}, fmt.Errorf("incorrect mode '%s' specified for the apply config call", asked)
}

// inPlace refuses a configuration that differs in more than Talos changes without a reboot: documents beside the
// main one, all of .cluster, and these parts of .machine.
func inPlace(current, next config.Provider) error {
	old, changed := current.RawV1Alpha1(), next.RawV1Alpha1().DeepCopy()
	changed.ConfigDebug, changed.ClusterConfig = old.ConfigDebug, old.ClusterConfig

	if from, to := old.MachineConfig, changed.MachineConfig; from != nil && to != nil {
		to.MachineCA, to.MachineAcceptedCAs = from.MachineCA, from.MachineAcceptedCAs
		to.MachineTime, to.MachineCertSANs = from.MachineTime, from.MachineCertSANs //nolint:staticcheck
		to.MachineInstall, to.MachineNetwork = from.MachineInstall, from.MachineNetwork
		to.MachineSysfs, to.MachineSysctls = from.MachineSysfs, from.MachineSysctls
		to.MachineLogging, to.MachineControlPlane = from.MachineLogging, from.MachineControlPlane
		to.MachineKubelet, to.MachineKernel = from.MachineKubelet, from.MachineKernel
		to.MachineRegistries, to.MachinePods = from.MachineRegistries, from.MachinePods //nolint:staticcheck
		to.MachineSeccompProfiles = from.MachineSeccompProfiles
		to.MachineNodeAnnotations, to.MachineNodeLabels = from.MachineNodeAnnotations, from.MachineNodeLabels
		to.MachineNodeTaints = from.MachineNodeTaints

		if from, to := from.MachineFeatures, to.MachineFeatures; from != nil && to != nil {
			to.KubernetesTalosAPIAccessConfig = from.KubernetesTalosAPIAccessConfig
			to.KubePrismSupport, to.HostDNSSupport = from.KubePrismSupport, from.HostDNSSupport
			to.ImageCacheSupport = from.ImageCacheSupport
			to.FeatureNodeAddressSortAlgorithm = from.FeatureNodeAddressSortAlgorithm
		}
	}

	if reflect.DeepEqual(old, changed) {
		return nil
	}

	diff, err := configdiff.DiffToString(container.NewV1Alpha1(old), container.NewV1Alpha1(changed))
	if err != nil {
		return fmt.Errorf("error calculating diff: %w", err)
	}

	return fmt.Errorf("this config change can't be applied in immediate mode\ndiff:\n%s", diff)
}

// try has the configuration that is stored come back after a time, unless another one is applied until then.
func (a *API) try(limit time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.trial != nil {
		a.trial.Stop()
	}

	a.trial = time.AfterFunc(limit, func() {
		if stored, err := a.boot.disk.config(); err == nil && stored != nil {
			log.Print("the trial of a configuration is over: back to the one before")
			a.boot.reconfigure(stored)
		}
	})
}

func (a *API) cancelTrial() {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.trial != nil {
		a.trial.Stop()
		a.trial = nil
	}
}
