//! `sandbox logs`

use k8s_openapi::api::core::v1::Pod;
