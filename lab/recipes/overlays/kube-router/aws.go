package routing

import (
	"strings"

	v1core "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// disableSourceDestinationCheck says that it cannot do, on a node of AWS, what its name says.
//
// There EC2 drops packets of addresses that are not the machine's own, and upstream's function of this name turns
// that off. It does nothing on any other node, and a lab has no other: its nodes are containers.
func (nrc *NetworkRoutingController) disableSourceDestinationCheck() {
	for _, item := range nrc.nodeLister.List() {
		if node := item.(*v1core.Node); strings.HasPrefix(node.Spec.ProviderID, "aws") {
			nrc.ec2IamAuthorized = false
			klog.Errorf("built without the client of EC2: turn off the source/destination check of %s yourself", node.Name)
			return
		}
	}
}
