package resource

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"sigs.k8s.io/metrics-server/pkg/storage"
)

// What a kubelet says at /metrics/resource of a node and of a container, by the names of its metrics without their first word.
// Seconds become nanoseconds.
var quantities = map[string]func(*storage.MetricsPoint, float64, time.Time){
	"cpu_usage_seconds_total": func(point *storage.MetricsPoint, value float64, at time.Time) {
		point.CumulativeCPUUsed, point.Timestamp = uint64(value*1e9), at
	},
	"memory_working_set_bytes": func(point *storage.MetricsPoint, value float64, at time.Time) {
		point.MemoryUsage, point.Timestamp = uint64(value), at
	},
	"start_time_seconds": func(point *storage.MetricsPoint, value float64, _ time.Time) {
		point.StartTime = time.Unix(0, int64(value*1e9))
	},
}

// decodeBatch reads what a kubelet says of the node nodeName and its pods; what has no time of its own is of defaultTime.
//
// A node or a pod of which something is missing, as of one that has just started, is left out: an autoscaler would take it for idle.
func decodeBatch(text []byte, defaultTime time.Time, nodeName string) (*storage.MetricsBatch, error) {
	var node storage.MetricsPoint
	pods := map[types.NamespacedName]map[string]*storage.MetricsPoint{}
	parser := textparse.NewPromParser(text, labels.NewSymbolTable(), false)
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("what the kubelet of %s says cannot be read: %w", nodeName, err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		series, stamp, value := parser.Series()
		name, _, _ := strings.Cut(string(series), "{")
		about, quantity, _ := strings.Cut(name, "_")
		set := quantities[quantity]
		if set == nil || about != "node" && about != "container" {
			continue
		}
		point := &node
		if about == "container" {
			var said labels.Labels
			parser.Labels(&said)
			pod := types.NamespacedName{Namespace: said.Get("namespace"), Name: said.Get("pod")}
			point = container(pods, pod, said.Get("container"))
		}
		at := defaultTime
		if stamp != nil {
			at = time.UnixMilli(*stamp)
		}
		set(point, value, at)
	}
	batch := &storage.MetricsBatch{
		Nodes: map[string]storage.MetricsPoint{},
		Pods:  map[types.NamespacedName]storage.PodMetricsPoint{},
	}
	if complete(&node) {
		batch.Nodes[nodeName] = node
	} else {
		klog.V(1).InfoS("The node is not measured yet", "node", nodeName)
	}
	for pod, containers := range pods {
		if points := allOf(containers); points != nil {
			batch.Pods[pod] = storage.PodMetricsPoint{Containers: points}
		} else {
			klog.V(1).InfoS("The pod is not measured yet", "pod", klog.KRef(pod.Namespace, pod.Name))
		}
	}
	return batch, nil
}

// container returns what is known of a container; at first that is nothing.
func container(pods map[types.NamespacedName]map[string]*storage.MetricsPoint, pod types.NamespacedName, name string) *storage.MetricsPoint {
	if pods[pod] == nil {
		pods[pod] = map[string]*storage.MetricsPoint{}
	}
	if pods[pod][name] == nil {
		pods[pod][name] = &storage.MetricsPoint{}
	}
	return pods[pod][name]
}

// complete says whether both quantities are known that are asked for.
func complete(point *storage.MetricsPoint) bool {
	return point.CumulativeCPUUsed != 0 && point.MemoryUsage != 0
}

// allOf returns a pod's containers, nil unless all of them are measured.
func allOf(containers map[string]*storage.MetricsPoint) map[string]storage.MetricsPoint {
	points := map[string]storage.MetricsPoint{}
	for name, point := range containers {
		if !complete(point) {
			return nil
		}
		points[name] = *point
	}
	return points
}
