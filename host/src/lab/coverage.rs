//! Coverage of the guests of a command.
//!
//! ```text
//! open (each image) -> Collector -> an engine whose CPUs count for the image -> Report
//! ```

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use guestlab_cpu::{Coverage, Cpu, DebugFeatures, Engine, EngineError, MemoryPlan};
use guestlab_debug::coverage::{CodeMap, Problem, Selection};
use guestlab_process::files;
use guestlab_runlog::coverage::Report;
use guestlab_vmm::Image;

use guest_abi::mode::CpuMode;

/// The endings of source files. Other files are not shown, whatever an image says of its sources.
const ENDINGS: [&str; 10] = ["rs", "c", "h", "cc", "cpp", "hpp", "s", "S", "asm", "inc"];

/// The size limit of a source file, in bytes, and that of all of them.
const MAX_SOURCE_SIZE: u64 = 4 << 20;
const MAX_SOURCES_SIZE: usize = 64 << 20;

/// An image has no coverage.
#[derive(Debug, thiserror::Error)]
#[error("there is no coverage of the image {}: {problem}", path.display())]
pub struct CoverageError {
    path: PathBuf,
    problem: Problem,
}

/// The coverage of all guests of a command. Guests of one image are counted together.
pub struct Collector {
    selection: Selection,
    /// True if the sources are wanted, for a page.
    reads_sources: bool,
    /// By the SHA-256 of their files.
    images: Mutex<BTreeMap<String, CodeMap>>,
    sources: Mutex<BTreeMap<String, String>>,
}

impl Collector {
    /// Returns a collector for images that are not open yet.
    pub fn new(selection: Selection, reads_sources: bool) -> Self {
        Self { selection, reads_sources, images: Mutex::default(), sources: Mutex::default() }
    }

    /// Reads the debug information of an image, and its sources if they are wanted. A thread in the jail could not.
    ///
    /// # Errors
    ///
    /// The image has no debug information that can be used.
    pub fn open(&self, image: &Image) -> Result<(), CoverageError> {
        let mut images = lock(&self.images);
        if images.contains_key(image.sha256()) {
            return Ok(());
        }
        let failed = |problem| CoverageError { path: image.path().into(), problem };
        let map = CodeMap::of(image, self.selection).map_err(failed)?;
        if self.reads_sources {
            self.read_sources(&map, image.path());
        }
        images.insert(image.sha256().into(), map);
        Ok(())
    }

    /// Returns an engine whose CPUs count for an image, which is open.
    pub(super) fn engine(&self, image: &Image, engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
        match lock(&self.images).get(image.sha256()) {
            Some(map) => Arc::new(Counting { engine, coverage: map.counts() }),
            None => engine,
        }
    }

    /// Returns the report. All VMs are gone.
    pub fn report(&self) -> Report {
        let mut report = Report::default();
        lock(&self.images).values().for_each(|map| map.add_to(&mut report));
        report
    }

    /// Returns the text of the sources that were found, by their paths in the report.
    pub fn sources(&self) -> BTreeMap<String, String> {
        lock(&self.sources).clone()
    }

    fn read_sources(&self, map: &CodeMap, image: &Path) {
        let mut sources = lock(&self.sources);
        let folders = folders(image);
        let mut size: usize = sources.values().map(String::len).sum();
        for file in map.files() {
            if sources.contains_key(file) || size > MAX_SOURCES_SIZE {
                continue;
            }
            if let Some(text) = folders.iter().find_map(|folder| source(folder, file)) {
                size += text.len();
                sources.insert(file.into(), text);
            }
        }
    }
}

/// Returns the folders in which sources are looked for: the workspace of the image, that of the current folder, and this one.
fn folders(image: &Path) -> Vec<PathBuf> {
    let current = env::current_dir().unwrap_or_default();
    let image = current.join(image);
    let workspaces = image.ancestors().chain(current.ancestors());
    let workspaces = workspaces.filter(|folder| folder.join("Cargo.toml").is_file()).map(Path::to_path_buf);
    workspaces.chain([current.clone()]).filter_map(|folder| fs::canonicalize(folder).ok()).collect()
}

/// Reads a source below a folder. An image says its path, so that it can be that of any file.
fn source(folder: &Path, file: &str) -> Option<String> {
    let path = fs::canonicalize(folder.join(file)).ok()?;
    let is_source = path.extension().is_some_and(|end| ENDINGS.iter().any(|&source| end == source));
    if !path.starts_with(folder) || !is_source {
        return None;
    }
    let bytes = files::read(&path, MAX_SOURCE_SIZE).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under the lock leaves a part of it undone.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An engine whose CPUs count executions.
struct Counting {
    engine: Arc<dyn Engine>,
    coverage: Arc<dyn Coverage>,
}

impl Counting {
    fn counting(&self, mut cpu: Box<dyn Cpu>) -> Box<dyn Cpu> {
        cpu.set_coverage(Some(Arc::clone(&self.coverage)));
        cpu
    }
}

impl Engine for Counting {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn create(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        Ok(self.counting(self.engine.create(memory)?))
    }

    fn create_without_features(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        Ok(self.counting(self.engine.create_without_features(memory)?))
    }

    fn runs(&self, mode: CpuMode) -> Result<bool, EngineError> {
        self.engine.runs(mode)
    }

    fn debug_features(&self, mode: CpuMode) -> Result<DebugFeatures, EngineError> {
        self.engine.debug_features(mode)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_source_is_read_below_its_folder_only() {
        let folder = TempDir::new().expect("a folder");
        let root = fs::canonicalize(folder.path()).expect("it is there").join("work");
        fs::create_dir_all(root.join("src")).expect("folders");
        for file in ["work/src/a.rs", "work/src/a.key", "b.rs"] {
            fs::write(root.with_file_name(file), "text").expect("written");
        }
        let absolute = root.join("src/a.rs");
        for file in ["src/a.rs", "./src/../src/a.rs", absolute.to_str().expect("a text")] {
            assert_eq!(source(&root, file).as_deref(), Some("text"), "{file}");
        }
        let outside = root.with_file_name("b.rs");
        for file in ["src/a.key", "src", "../b.rs", "src/none.rs", outside.to_str().expect("a text")] {
            assert_eq!(source(&root, file), None, "{file}");
        }
    }
}
