//! The Python module `vmwb_core._core`: conversion only.
//!
//! Every call that can wait releases the interpreter first. No Rust thread ever calls into Python: what happens is told
//! by the event handle. Errors cross as `CoreError` with a code and a sentence.
#![deny(unsafe_code)]

mod input;
mod sandbox;

use std::collections::HashMap;
use std::os::fd::IntoRawFd;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::{create_exception, intern};
use vmwb_machine::{
    DriveFiles, DriveSlot, Machine, MachineError, MachineFiles, MachineOptions, MachineSpec,
    PowerCommand, SaveFiles, StateFiles, file_of_handle, power, spec,
};

create_exception!(
    vmwb_core,
    CoreError,
    PyException,
    "An error of the core: `code` for programs, `sentence` for the user."
);

/// The exception for an error of the machine.
fn core_error(error: &MachineError) -> PyErr {
    coded(error.code(), &error.to_string())
}

fn coded(code: &str, sentence: &str) -> PyErr {
    let error = CoreError::new_err(sentence.to_owned());
    Python::attach(|py| {
        let value = error.value(py);
        let named = value
            .setattr(intern!(py, "code"), code)
            .and_then(|()| value.setattr(intern!(py, "sentence"), sentence));
        // An exception object that takes no attributes is no reason to lose the error itself.
        drop(named);
    });
    error
}

/// Handles of a call, by name; every name must be used.
struct Handles(HashMap<String, i32>);

impl Handles {
    fn take(&mut self, name: &str) -> Result<Option<std::fs::File>, MachineError> {
        self.0.remove(name).map(file_of_handle).transpose()
    }

    fn need(&mut self, name: &str) -> Result<std::fs::File, MachineError> {
        self.take(name)?
            .ok_or_else(|| MachineError::BadArgument(format!("The handle '{name}' is missing.")))
    }

    fn finish(self) -> Result<(), MachineError> {
        match self.0.into_keys().next() {
            Some(name) => {
                let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
                Err(MachineError::BadArgument(format!(
                    "There is no use for a handle '{shown}'."
                )))
            }
            None => Ok(()),
        }
    }

    fn machine(&mut self) -> Result<MachineFiles, MachineError> {
        Ok(MachineFiles {
            kernel: self.take("kernel")?,
            initrd: self.take("initrd")?,
            modules: self.modules()?,
            firmware: self.take("firmware")?,
            vga_rom: self.take("vga_rom")?,
            drives: self.drives()?,
            debug_console: self.take("debug_console")?,
        })
    }

    /// The handles `module.N`.
    fn modules(&mut self) -> Result<Vec<std::fs::File>, MachineError> {
        let mut modules = Vec::new();
        while let Some(file) = self.take(&format!("module.{}", modules.len()))? {
            modules.push(file);
        }
        Ok(modules)
    }

    /// The handles `drive.SLOT.N`.
    fn drives(&mut self) -> Result<DriveFiles, MachineError> {
        let mut drives = DriveFiles::new();
        let names: Vec<String> = self.0.keys().cloned().collect();
        for name in names {
            let mut parts = name.split('.');
            let (Some("drive"), Some(slot), Some("0"), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let Some(at) = DriveSlot::parse(slot) else {
                continue;
            };
            let mut files = Vec::new();
            while let Some(file) = self.take(&format!("drive.{slot}.{}", files.len()))? {
                files.push(file);
            }
            drives.insert(at, files);
        }
        Ok(drives)
    }
}

fn options(confined: bool) -> MachineOptions {
    MachineOptions {
        confined,
        ..MachineOptions::default()
    }
}

/// One virtual machine.
#[pyclass(name = "Machine", module = "vmwb_core", frozen)]
#[derive(Debug)]
struct PyMachine(Machine);

impl PyMachine {
    fn request(&self, py: Python<'_>, command: PowerCommand) -> PyResult<()> {
        py.detach(|| self.0.power(command))
            .map_err(|e| core_error(&e))
    }
}

#[pymethods]
impl PyMachine {
    #[new]
    #[pyo3(signature = (spec_json, handles, *, confined = false))]
    fn new(
        py: Python<'_>,
        spec_json: &str,
        handles: HashMap<String, i32>,
        confined: bool,
    ) -> PyResult<Self> {
        let build = || {
            let mut handles = Handles(handles);
            let files = handles.machine()?;
            handles.finish()?;
            let spec = MachineSpec::from_json(spec_json)?;
            Machine::new(spec, files, options(confined))
        };
        py.detach(build).map(Self).map_err(|e| core_error(&e))
    }

    #[staticmethod]
    #[pyo3(signature = (spec_json, handles, *, confined = false))]
    fn restore(
        py: Python<'_>,
        spec_json: &str,
        handles: HashMap<String, i32>,
        confined: bool,
    ) -> PyResult<Self> {
        let build = || {
            let mut handles = Handles(handles);
            let state = StateFiles {
                devices: handles.need("devices")?,
                ram: handles.need("ram")?,
            };
            let files = handles.machine()?;
            handles.finish()?;
            let spec = MachineSpec::from_json(spec_json)?;
            Machine::restore(spec, files, &state, options(confined))
        };
        py.detach(build).map(Self).map_err(|e| core_error(&e))
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.request(py, PowerCommand::Start)
    }

    fn pause(&self, py: Python<'_>) -> PyResult<()> {
        self.request(py, PowerCommand::Pause)
    }

    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        self.request(py, PowerCommand::Resume)
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.request(py, PowerCommand::Reset)
    }

    fn power_button(&self, py: Python<'_>) -> PyResult<()> {
        self.request(py, PowerCommand::PowerButton)
    }

    fn power_off(&self, py: Python<'_>) -> PyResult<()> {
        self.request(py, PowerCommand::PowerOff)
    }

    fn save(&self, py: Python<'_>, handles: HashMap<String, i32>) -> PyResult<()> {
        let save = || {
            let mut handles = Handles(handles);
            let files = SaveFiles {
                devices: handles.need("devices")?,
                ram: handles.need("ram")?,
            };
            handles.finish()?;
            self.0.save(files)
        };
        py.detach(save).map_err(|e| core_error(&e))
    }

    fn inject(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        let inject = || self.0.inject(input::parse(data)?);
        py.detach(inject).map_err(|e| core_error(&e))
    }

    fn drain_events(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.0.drain_events())
    }

    fn event_handle(&self) -> i32 {
        self.0.event_handle()
    }

    #[pyo3(signature = (slot, handle, *, read_only = true, force = false))]
    fn attach(
        &self,
        py: Python<'_>,
        slot: &str,
        handle: Option<i32>,
        read_only: bool,
        force: bool,
    ) -> PyResult<()> {
        let attach = || {
            let image = handle.map(file_of_handle).transpose()?;
            self.0.attach(slot, image, read_only, force)
        };
        py.detach(attach).map_err(|e| core_error(&e))
    }

    fn frame_handle(&self) -> PyResult<Option<i32>> {
        let handle = self.0.frame_handle().map_err(|e| core_error(&e))?;
        Ok(handle.map(IntoRawFd::into_raw_fd))
    }

    fn console_handle(&self, py: Python<'_>, n: u8) -> PyResult<i32> {
        let socket = py
            .detach(|| self.0.console(n))
            .map_err(|e| core_error(&e))?;
        Ok(socket.into_raw_fd())
    }

    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.0.stats()).map_err(|e| core_error(&e))
    }

    fn screen_text(&self, py: Python<'_>) -> PyResult<Option<String>> {
        py.detach(|| self.0.screen_text())
            .map_err(|e| core_error(&e))
    }

    fn debug(&self, py: Python<'_>, request: &str) -> PyResult<String> {
        py.detach(|| self.0.debug(request))
            .map_err(|e| core_error(&e))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

/// Tells one build of the core from another.
#[pyfunction]
fn build_hash() -> &'static str {
    env!("VMWB_BUILD_HASH")
}

/// The power table as JSON.
#[pyfunction]
fn power_table_json() -> String {
    power::table_json()
}

/// The framebuffer's layout as JSON: field name to offset and size.
#[pyfunction]
fn framebuffer_layout_json() -> String {
    vmwb_display::layout_json()
}

/// The JSON schema of a machine's definition.
#[pyfunction]
fn spec_schema_json() -> String {
    spec::schema_json()
}

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{
        CoreError, PyMachine, build_hash, framebuffer_layout_json, power_table_json,
        sandbox::{attempt_escape, host_sandbox_json, lock_down},
        spec_schema_json,
    };
}
