//! The JSON schema of a definition.

use super::{
    CPU_MODELS, CPUS, MAX_APPEND_BYTES, MAX_BOOT_SOURCES, MAX_CHAIN, MAX_MODULE_LINE_BYTES,
    MAX_MODULES, MAX_NAME_BYTES, MAX_SERIAL_PORTS, MEMORY_MIB, SPEC_VERSION, TSC_HZ, menu_wait,
};

/// The JSON schema (draft 2020-12) of a definition. The ranges are those that [`MachineSpec::validate`] enforces; a
/// test compares them.
#[must_use]
pub fn schema_json() -> String {
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "MachineSpec",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "name", "memory_mib", "boot"],
        "properties": {
            "version": { "const": SPEC_VERSION },
            "name": { "type": "string", "maxLength": MAX_NAME_BYTES },
            "memory_mib": { "type": "integer", "minimum": MEMORY_MIB.start(), "maximum": MEMORY_MIB.end() },
            "cpus": { "type": "integer", "minimum": CPUS.start(), "maximum": CPUS.end(), "default": 1 },
            "engine": { "enum": ["auto", "interpreter"], "default": "auto" },
            "deterministic": { "type": "boolean", "default": false },
            "pace": { "type": "boolean", "default": true },
            "cpu": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "model": { "enum": CPU_MODELS, "default": CPU_MODELS[0] },
                    "tsc_hz": {
                        "type": "integer", "minimum": TSC_HZ.start(), "maximum": TSC_HZ.end(),
                        "default": 1_000_000_000
                    }
                }
            },
            "boot": {
                "type": "object",
                "additionalProperties": false,
                "required": ["kind"],
                "properties": {
                    "kind": { "enum": ["kernel", "firmware", "linux"] },
                    "append": { "type": "string", "maxLength": MAX_APPEND_BYTES, "default": "" },
                    "modules": {
                        "type": "array", "maxItems": MAX_MODULES,
                        "items": { "type": "string", "maxLength": MAX_MODULE_LINE_BYTES }
                    },
                    "order": {
                        "type": "array", "maxItems": MAX_BOOT_SOURCES, "uniqueItems": true,
                        "items": { "enum": ["floppy", "disk", "cdrom", "network"] }
                    },
                    "menu": { "type": "boolean", "default": true },
                    "menu_wait_ms": { "type": "integer", "minimum": 0, "maximum": u16::MAX, "default": menu_wait() }
                }
            },
            "drives": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["slot", "kind"],
                    "properties": {
                        "slot": { "type": "string", "pattern": "^(ide[0-3]|floppy[01]|virtio[0-7])$" },
                        "kind": { "enum": ["disk", "cdrom", "floppy"] },
                        "formats": {
                            "type": "array", "maxItems": MAX_CHAIN, "items": { "enum": ["raw", "qcow2"] }
                        },
                        "read_only": { "type": "boolean", "default": false }
                    }
                },
                "default": []
            },
            "virtio": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "rng": { "type": "boolean", "default": false },
                    "balloon": { "type": "boolean", "default": false },
                    "input": { "type": "boolean", "default": false },
                    "console": { "type": "boolean", "default": false }
                }
            },
            "uuid": { "anyOf": [{ "type": "null" }, { "type": "string", "maxLength": 36 }], "default": null },
            "serial_ports": { "type": "integer", "minimum": 0, "maximum": MAX_SERIAL_PORTS, "default": 1 },
            "display": { "enum": ["vga", "none", "test-pattern"], "default": "vga" },
            "debug_exit_port": {
                "anyOf": [
                    { "type": "null" },
                    { "const": 0xF4 },
                    { "type": "integer", "minimum": 0x500, "maximum": 0x5FC }
                ],
                "default": null
            },
            "seed": { "type": "integer", "minimum": 0, "maximum": u64::MAX, "default": 0 }
        }
    })
    .to_string()
}
