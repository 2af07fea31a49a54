-- PLACEHOLDER, owner: L (account limit)
SELECT 1;
