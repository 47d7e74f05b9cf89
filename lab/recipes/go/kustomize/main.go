// Command kustomize is the part of kustomize that Argo CD runs: build, edit, create and version.
//
// Upstream's own main package adds a completion and a configuration command, whose module nothing else here needs.
package main

import (
	"os"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/kustomize/v5/commands/build"
	"sigs.k8s.io/kustomize/kustomize/v5/commands/create"
	"sigs.k8s.io/kustomize/kustomize/v5/commands/edit"
	"sigs.k8s.io/kustomize/kustomize/v5/commands/version"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	files, dependencies := filesys.MakeFsOnDisk(), provider.NewDefaultDepProvider()
	factory := dependencies.GetResourceFactory()
	render := build.NewCmdBuild(files, build.MakeHelp(konfig.ProgramName, "build"), os.Stdout)
	build.AddFunctionAlphaEnablementFlags(render.Flags())
	root := &cobra.Command{Use: konfig.ProgramName, Short: "Manages declarative configuration of Kubernetes"}
	root.AddCommand(
		render,
		edit.NewCmdEdit(files, dependencies.GetFieldValidator(), factory, os.Stdout),
		create.NewCmdCreate(files, factory),
		version.NewCmdVersion(os.Stdout),
	)
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
