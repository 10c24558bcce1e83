// The lab's stand-in for Terraform's provider hashicorp/helm 3.1.2, which no registry that the lab uses has. It speaks the
// attributes that clusters/ sets, over the real helm library, and has the real one's three faults (release.go).
package main

import (
	"context"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
)

func main() {
	log.SetFlags(0)
	err := providerserver.Serve(context.Background(), func() provider.Provider { return &helmProvider{} },
		providerserver.ServeOpts{Address: "registry.terraform.io/hashicorp/helm"})
	if err != nil {
		log.Fatal(err)
	}
}
