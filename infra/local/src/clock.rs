//! The clock of the playground.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::clock::{Clock, Millis, Secs};

use crate::data_folder;

/// A clock that can be set forward, but not back, because the table must not hold times in the future.
///
/// A file keeps the seconds over a restart for the same reason: a session of the day after tomorrow would refuse every
/// login on its device until then.
pub(crate) struct AdjustableClock {
    inner: Arc<dyn Clock>,
    ahead: Mutex<Secs>,
    file: PathBuf,
}

impl AdjustableClock {
    pub(crate) fn new(inner: Arc<dyn Clock>, file: PathBuf) -> Self {
        let ahead = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self { inner, ahead: Mutex::new(ahead), file }
    }

    pub(crate) fn ahead(&self) -> Secs {
        *self.lock()
    }

    /// Sets it forward once the file says so: a clock that no restart remembers would leave times of the future in the table.
    pub(crate) fn advance(&self, seconds: Secs) -> std::io::Result<Secs> {
        let mut ahead = self.lock();
        let advanced = ahead.saturating_add(seconds);
        data_folder::write(&self.file, &advanced.to_string())?;
        *ahead = advanced;
        Ok(advanced)
    }

    fn lock(&self) -> MutexGuard<'_, Secs> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for AdjustableClock {
    fn now_ms(&self) -> Millis {
        self.inner.now_ms().saturating_add(self.ahead().saturating_mul(1_000))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now_ms(&self) -> Millis {
            1_800_000_000_000
        }
    }

    #[test]
    fn a_clock_whose_file_cannot_be_written_stays_where_it_is() {
        let clock = AdjustableClock::new(Arc::new(Noon), PathBuf::from("/nowhere/clock"));

        assert!(clock.advance(900).is_err());

        assert_eq!(clock.ahead(), 0);
    }

    #[test]
    fn a_clock_that_was_set_forward_stays_ahead_over_a_restart() {
        let folder = std::env::temp_dir().join(format!("wxauth-playground-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(data_folder::CLOCK);
        let clock = AdjustableClock::new(Arc::new(Noon), file.clone());
        clock.advance(960).unwrap();
        clock.advance(40).unwrap();

        let again = AdjustableClock::new(Arc::new(Noon), file);

        assert_eq!((clock.now(), again.now(), again.ahead()), (1_800_001_000, 1_800_001_000, 1_000));
        assert_eq!(fs::metadata(folder.join(data_folder::CLOCK)).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(&folder).unwrap();
    }
}
