-- What a task that nobody knows was asked, as a digest: a store that stands in the place of another
-- one takes up what that one has paid for only where it asks the very same.
ALTER TABLE incidents ADD COLUMN request TEXT;
