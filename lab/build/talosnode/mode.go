package main

// Mode is what pkg/machinery's validation asks of the platform: that of a virtual machine whose disk was made from
// Talos' nocloud image, on which Talos is installed already.
type Mode struct{}

func (Mode) String() string        { return "cloud" }
func (Mode) RequiresInstall() bool { return false }
func (Mode) InContainer() bool     { return false }
