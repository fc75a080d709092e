//! `sandbox kubeconfig`
